# SPDX-License-Identifier: Apache-2.0
"""The judge holds as root and as an ordinary user, with namespaces and without."""

from __future__ import annotations

import pytest
from privileges import CASES, Case, impossible, run


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_battery_holds(case: Case) -> None:
    reason = impossible(case)
    if reason:
        pytest.skip(reason)
    # The other granularity has the same layers; `privileges.py` tries both.
    assert run(case, "--granularity", "test")["flaws"] == []
