# SPDX-License-Identifier: Apache-2.0
"""The scorer: one response in, its score out, by the task of its data_source.

Training (`manager.py`), `klear score` and evaluation all score through `Scorer`, so that they agree. `MathScorer` and
`CodeScorer` are its two halves (paper, section 3). It imports neither verl nor torch, and Ray only to judge on a
cluster. Math graders and the judge are started when the first row needs them.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from klear_verl.errors import DataError, EnvironmentProblem
from klear_verl.judge import Judge, Judgement
from klear_verl.reward.config import RewardConfig
from klear_verl.reward.extraction import extract_program
from klear_verl.reward.math.pool import MathGrade, MathPool
from klear_verl.reward.references import code_reference, math_reference
from klear_verl.reward.response import split_answer
from klear_verl.reward.score import Score, ScoreRequest

if TYPE_CHECKING:
    from klear_verl.reward.judge_pool.client import RayJudge

_QUEUED_PER_JOB = 4
_OURS = ("stalled", "crash")
"""Ends of a grader process that may be the machine's doing: tried once more."""


class Scorer:
    """Scores responses; thread-safe, and usable from one event loop. Close it, or use it as a context manager."""

    def __init__(self, config: RewardConfig, in_cluster: bool = False):
        """`in_cluster`: whether this is a worker of a Ray cluster, for `judge_pool.mode=auto`."""
        self.config = config
        self._in_cluster = in_cluster
        self._lock = threading.Lock()
        self._math: MathScorer | None = None
        self._code: CodeScorer | None = None
        self._no_judge: EnvironmentProblem | None = None
        self._threads = ThreadPoolExecutor(config.math.workers, thread_name_prefix="klear-math")

    def score(self, request: ScoreRequest) -> Score:
        """Scores one response.

        Raises:
            DataError: an unknown data_source, or a ground truth that cannot be read; names the row.
            EnvironmentProblem: the graders or the judge cannot work on this machine.
        """
        if self._is_math(request):
            return self._math_scorer().score(request)
        return self._code_scorer().score(request)

    async def score_async(self, request: ScoreRequest) -> Score:
        """As `score`, without holding the event loop."""
        loop = asyncio.get_running_loop()
        if self._is_math(request):
            return await loop.run_in_executor(self._threads, self._math_scorer().score, request)
        scorer = self._code
        if scorer is None:  # starting the judge takes a while
            scorer = await loop.run_in_executor(self._threads, self._code_scorer)
        return await scorer.score_async(request)

    def score_many(self, requests: Iterable[ScoreRequest], jobs: int = 1) -> Iterator[Score]:
        """Scores with `jobs` threads and yields in the order of the requests, which are read only a few per job ahead.

        Raises:
            As `score`, at the place of the request in question.
        """
        waiting: deque[Future[Score]] = deque()
        with ThreadPoolExecutor(jobs, thread_name_prefix="klear-score") as threads:
            try:
                for request in requests:
                    waiting.append(threads.submit(self.score, request))
                    if len(waiting) > _QUEUED_PER_JOB * jobs:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def check(self, request: ScoreRequest) -> None:
        """Checks that a row can be scored, without scoring: its data_source and the form of its ground truth.

        `ReferenceCheck` also finds references that have the right form and no reading.

        Raises:
            DataError: as `score` would.
        """
        if self._is_math(request):
            math_reference(request.ground_truth, request.place)
        else:
            code_reference(request.ground_truth, request.extra_info, request.place)

    def close(self) -> None:
        """Ends every process that the scorer started."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for part in (self._math, self._code):
                if part is not None:
                    part.close()

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _is_math(self, request: ScoreRequest) -> bool:
        try:
            return self.config.task_of(request.data_source) == "math"
        except DataError as error:
            raise DataError(f"{request.place}: {error.what}", error.remedy) from error

    def _math_scorer(self) -> MathScorer:
        with self._lock:
            if self._math is None:
                self._math = MathScorer(self.config)
            return self._math

    def _code_scorer(self) -> CodeScorer:
        with self._lock:
            if self._no_judge is not None:  # a judge that can't start says so after a while: once is enough
                raise self._no_judge
            try:
                self._code = self._code or CodeScorer(self.config, self._in_cluster)
            except EnvironmentProblem as problem:
                self._no_judge = problem
                raise
            return self._code


class MathScorer:
    """The math reward: binary on final correctness, of what follows `</think>`. Thread-safe."""

    def __init__(self, config: RewardConfig, pool: MathPool | None = None):
        self._config = config
        limits = config.math
        self._pool = pool or MathPool(limits.workers, limits.cpu_s, limits.wall_s, limits.memory_mib)

    def score(self, request: ScoreRequest) -> Score:
        """Scores one response.

        Without `</think>` (where required) there is no answer: malformed, and its task score is a wrong answer's.
        Without `<think>` the answer is graded for the task score, but the score is the format's. An answer that breaks
        the grader (its CPU time, its memory, an error) is wrong if the reference is fine by itself: no answer may gain
        by that. It is ungraded if the reference is at fault, or if our machinery fails twice.

        Raises:
            DataError: the ground truth is not a reference answer.
        """
        gold = math_reference(request.ground_truth, request.place)
        rewards = self._config.math
        answer, fault = split_answer(request.response, self._config.think, self._config.think_prefilled)
        result = Score(
            id=request.id, score=rewards.wrong, acc=False, pass_rate=None, status="graded", task_score=rewards.wrong
        )
        if answer is None:
            return replace(result, score=rewards.no_think_end, status="malformed", detail=fault or "")
        grade = self._grade(gold, answer)
        result = replace(result, detail=grade.detail, cpu_s=grade.cpu_s, wall_s=grade.wall_s)
        if grade.outcome not in ("correct", "wrong"):
            ungraded = replace(result, score=None, acc=None, task_score=None, status="ungraded")
            return replace(ungraded, detail=_failure(grade, gold))
        correct = grade.outcome == "correct"
        task_score = rewards.correct if correct else rewards.wrong
        if fault is not None:
            return replace(
                result, score=rewards.no_think_start, status="malformed", task_score=task_score, detail=fault
            )
        return replace(result, score=task_score, acc=correct, task_score=task_score)

    def close(self) -> None:
        """Ends the grader processes."""
        self._pool.close()

    def _grade(self, gold: str, answer: str) -> MathGrade:
        grade = self._pool.grade(gold, answer)
        if grade.outcome in _OURS:
            grade = self._pool.grade(gold, answer)
        if grade.outcome not in ("timeout", "error", "crash"):
            return grade
        # The reference against itself: if that goes well, the answer did it.
        own = self._pool.grade(gold, f"\\boxed{{{gold}}}")
        if own.outcome == "correct":
            return replace(grade, outcome="wrong", detail=f"the answer breaks the grader: {grade.detail}")
        return own if own.outcome == "bad_gold" else grade


class CodeScorer:
    """The code reward: the pass rate of the program in the response, by the judge. Thread-safe.

    Starting it starts the judge, which refuses to start where a required isolation layer is missing.
    """

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


def _failure(grade: MathGrade, gold: str) -> str:
    if grade.outcome == "bad_gold":
        return f"unparsable reference {gold[:200]!r}: {grade.detail}"
    return f"the grader failed ({grade.outcome}): {grade.detail}"
