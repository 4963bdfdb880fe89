# SPDX-License-Identifier: Apache-2.0
"""The judge holds with the most privileges and with the least: root with namespaces, an ordinary user without.

`privileges.py` tries the two cases in between as well, at both granularities.
"""

from __future__ import annotations

import pytest

from tests.judge.attacks.privileges import CASES, Case, impossible, run


@pytest.mark.slow
@pytest.mark.parametrize("case", [CASES[0], CASES[-1]], ids=lambda case: case.name)
def test_battery_holds(case: Case) -> None:
    reason = impossible(case)
    if reason:
        pytest.skip(reason)
    assert run(case, "--granularity", "test")["flaws"] == []
