# SPDX-License-Identifier: Apache-2.0
"""Our judge, in either granularity."""

from __future__ import annotations

from typing import Any

from klear_verl.judge import Judge, JudgeConfig, Limits

from ..programs import Case
from . import Done


class Ours:
    """`klear_verl.judge.Judge` as training uses it: all layers that the machine has, every test of every solution.

    Args:
        slots: solutions judged at once.
        options: further fields of JudgeConfig.
    """

    def __init__(self, slots: int, **options: Any):
        if "limits" in options:
            options["limits"] = Limits(**options["limits"])
        self._judge = Judge(JudgeConfig(slots=slots, max_tests=0, **options))

    def judge(self, case: Case, deadline: float) -> Done:
        judgement = self._judge.run(case.problem, case.source)
        return Done(len(judgement.verdicts), judgement.acc, judgement.usage.cpu_s, judgement.detail)

    def facts(self) -> dict[str, Any]:
        return {"layers": self._judge.layers}

    def close(self) -> None:
        self._judge.close()
