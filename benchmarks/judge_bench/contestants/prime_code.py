# SPDX-License-Identifier: Apache-2.0
"""verl's prime_code, called as verl's `default_compute_score` calls it.

How it differs from all others here: one process runs all tests of a solution, guarded by overwriting functions, and
stops at the first failure. Only then it grades again, the first ten tests one by one, each in a process of its own with
a `multiprocessing.Manager` beside it. So a failing solution is graded on ten tests, however many there are; we count
those that it was given. Its time limits are 5 s for all tests together, then 10 s for each; they are not ours to set.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ..programs import Case
from . import Done


class PrimeCode:
    """Args:
    lean: loads prime_code alone. As verl loads it, the process that it forks for every solution holds all of verl and
        torch.
    """

    def __init__(self, lean: bool = False):
        self._compute_score = (_load_alone() if lean else _load_from_verl()).compute_score

    def judge(self, case: Case, deadline: float) -> Done:
        tests = case.problem.tests
        given = {"inputs": [test.input for test in tests], "outputs": [test.output for test in tests]}
        score, _ = self._compute_score(f"```python\n{case.source}```", given, continuous=True)
        # True, or the fraction of those that it graded one by one.
        return Done(len(tests), score is True or score == 1)

    def facts(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


def _load_from_verl() -> ModuleType:
    from verl.utils.reward_score import prime_code

    return prime_code


def _load_alone() -> ModuleType:
    verl = importlib.util.find_spec("verl")
    if verl is None or verl.origin is None:
        raise RuntimeError("verl is not installed: pip install verl==0.9.1")
    folder = Path(verl.origin).parent / "utils" / "reward_score" / "prime_code"
    spec = importlib.util.spec_from_file_location(
        "prime_code", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{folder} can't be loaded: this verl keeps prime_code elsewhere")
    module = importlib.util.module_from_spec(spec)
    sys.modules["prime_code"] = module
    spec.loader.exec_module(module)
    return module
