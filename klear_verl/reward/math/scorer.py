# SPDX-License-Identifier: Apache-2.0
"""The math reward: binary on final correctness, graded by math-verify on what follows `</think>` (paper, section 3)."""

from __future__ import annotations

from dataclasses import replace

from klear_verl.reward.config import RewardConfig
from klear_verl.reward.math.pool import MathGrade, MathPool
from klear_verl.reward.references import math_reference
from klear_verl.reward.response import split_answer
from klear_verl.reward.score import Score, ScoreRequest

_RETRIED = ("timeout", "crash")


class MathScorer:
    """Scores math responses; thread-safe."""

    def __init__(self, config: RewardConfig, pool: MathPool | None = None):
        self._config = config
        limits = config.math
        self._pool = pool or MathPool(limits.workers, limits.cpu_s, limits.wall_s, limits.memory_mib)

    def score(self, request: ScoreRequest) -> Score:
        """Scores one response.

        Without `</think>` (where required) there is no answer: malformed, and its task score is a wrong answer's.
        Without `<think>` the answer is graded for the task score, but the score is the format's. A grading that times
        out or crashes is tried once more, in another process; if that fails too, or if the reference has no
        mathematical reading, the response is ungraded.

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
        return self._pool.grade(gold, answer) if grade.outcome in _RETRIED else grade


def _failure(grade: MathGrade, gold: str) -> str:
    if grade.outcome == "bad_gold":
        return f"unparsable reference {gold[:200]!r}: {grade.detail}"
    return f"the grader failed ({grade.outcome}): {grade.detail}"
