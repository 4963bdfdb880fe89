# SPDX-License-Identifier: Apache-2.0
"""The code reward: the pass rate of the program in the response, by the judge (paper, section 3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from klear_verl.judge import Judge, Judgement
from klear_verl.reward.config import RewardConfig
from klear_verl.reward.extraction import extract_program
from klear_verl.reward.references import code_reference
from klear_verl.reward.response import split_answer
from klear_verl.reward.score import Score, ScoreRequest

if TYPE_CHECKING:
    from klear_verl.reward.judge_pool.client import RayJudge


class CodeScorer:
    """Scores programs; thread-safe. Starting it starts the judge, which refuses to where a required isolation layer
    is missing."""

    def __init__(self, config: RewardConfig, in_cluster: bool = False):
        """`in_cluster`: whether this is a worker of a Ray cluster, for `judge_pool.mode=auto`."""
        self._config = config
        self._judge = start_judge(config, in_cluster)

    def score(self, request: ScoreRequest) -> Score:
        """Scores one response; the caller's thread waits for the judge.

        Malformed, and not run: no `</think>`, or no program in the answer. A program after a missing `<think>` is run
        for its task score, but gets the format's score. A judgement with an internal error (IE) is ungraded.

        Raises:
            DataError: the ground truth is in none of the formats that the judge reads.
        """
        problem = code_reference(request.ground_truth, request.extra_info, request.place)
        program, fault = self._program(request.response)
        if program is None:
            return self._malformed(request, fault)
        return self._result(request, self._judge.run(problem, program), fault)

    async def score_async(self, request: ScoreRequest) -> Score:
        """As `score`, without holding the event loop while the judge works."""
        problem = code_reference(request.ground_truth, request.extra_info, request.place)
        program, fault = self._program(request.response)
        if program is None:
            return self._malformed(request, fault)
        return self._result(request, await self._judge.arun(problem, program), fault)

    def close(self) -> None:
        """Ends the judge and everything it runs."""
        self._judge.close()

    def _program(self, response: str) -> tuple[str | None, str | None]:
        """(the program or None, what the format lacks or None)."""
        answer, fault = split_answer(response, self._config.think, self._config.think_prefilled)
        if answer is None:
            return None, fault
        program = extract_program(answer)
        if program is None and self._config.raw_code and answer.strip():
            program = answer.replace("\r\n", "\n")
        return program, fault if program is not None else "no Python code block in the answer"

    def _malformed(self, request: ScoreRequest, fault: str | None) -> Score:
        rewards = self._config.code
        return Score(
            id=request.id,
            score=rewards.malformed_value,
            acc=False,
            pass_rate=0.0,
            status="malformed",
            task_score=rewards.wrong,
            detail=fault or "",
            is_code=True,
        )

    def _result(self, request: ScoreRequest, judgement: Judgement, fault: str | None) -> Score:
        base = Score(
            id=request.id,
            score=None,
            acc=None,
            pass_rate=None,
            status="ungraded",
            verdicts=tuple(verdict.value for verdict in judgement.verdicts),
            detail=judgement.detail,
            layers=judgement.layers,
            cpu_s=judgement.usage.cpu_s,
            wall_s=judgement.usage.wall_s,
            is_code=True,
            queue_s=judgement.usage.queue_s,
            retries=judgement.retries,
            untested=judgement.untested,
        )
        if judgement.pass_rate is None:
            return base
        task_score = self._config.code.of(judgement.pass_rate)
        graded = replace(base, pass_rate=judgement.pass_rate, task_score=task_score)
        if fault:
            return replace(graded, score=self._config.code.malformed_value, acc=False, status="malformed", detail=fault)
        return replace(graded, score=task_score, acc=judgement.acc, status="graded")


def start_judge(config: RewardConfig, in_cluster: bool) -> Judge | RayJudge:
    """The judge of `judge_pool.mode`: in this process, or on the Ray cluster.

    Raises:
        EnvironmentProblem: it can't work here.
    """
    if config.judge_pool.mode == "local" or (config.judge_pool.mode == "auto" and not in_cluster):
        return Judge(config.judge)
    from klear_verl.reward.judge_pool.client import RayJudge  # only here: scoring without a cluster needs no Ray

    return RayJudge(config.judge, config.judge_pool)
