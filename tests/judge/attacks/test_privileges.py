# SPDX-License-Identifier: Apache-2.0
"""The judge holds with the most privileges and with the least: root or an ordinary user, with namespaces or without.

In the case that pytest itself runs in, every attack has a test of its own (`test_attacks_per_test`).
"""

from __future__ import annotations

import pytest

from tests.judge.attacks.privileges import CASES, Case, impossible, run


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", CASES[1:], ids=lambda case: case.name)
def test_battery_holds(case: Case) -> None:
    reason = impossible(case)
    if reason:
        pytest.skip(reason)
    assert run(case, "--granularity", "test")["flaws"] == []
