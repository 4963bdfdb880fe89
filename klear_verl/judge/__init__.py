# SPDX-License-Identifier: Apache-2.0
"""Judging untrusted programs: problems as data, isolation, verdicts. Knows nothing of rewards, models or training.

What users import is here; `klear_verl.judge.sandbox` is the isolation alone. The processes in which programs run never
import this package (`sandbox/zygote/__main__.py` makes empty packages in its place).
"""

from klear_verl.judge.config import JudgeConfig, Limits
from klear_verl.judge.formats import content_id, problem_from_ground_truth
from klear_verl.judge.judge import Judge
from klear_verl.judge.problem import AssertTest, CallTest, Problem, PytestTest, StdioTest, Test
from klear_verl.judge.verdict import Judgement, Usage, Verdict

__all__ = [
    "AssertTest",
    "CallTest",
    "Judge",
    "JudgeConfig",
    "Judgement",
    "Limits",
    "Problem",
    "PytestTest",
    "StdioTest",
    "Test",
    "Usage",
    "Verdict",
    "content_id",
    "problem_from_ground_truth",
]
