# SPDX-License-Identifier: Apache-2.0
"""Cases as parameters of a test: those that `make test` leaves out carry the marker `thorough`."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet

from tests.trainer.gradients.gradient_cases import Case, sample

SAMPLE = frozenset(sample())


def named(some: Iterable[Case]) -> list[ParameterSet]:
    """One parameter per case, called by the case's name."""
    return [pytest.param(case, id=case.name, marks=[] if case in SAMPLE else pytest.mark.thorough) for case in some]
