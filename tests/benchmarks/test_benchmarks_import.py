# SPDX-License-Identifier: Apache-2.0
"""Benchmarks are run by hand, seldom; what they import from the package is checked at every test run."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODULES = [
    ".".join(path.relative_to(BENCHMARKS).with_suffix("").parts)
    for path in sorted(BENCHMARKS.rglob("*.py"))
    if "moments" not in path.parts  # for the processes of a run alone: it changes them as it is imported
]


@pytest.mark.parametrize("name", MODULES)
def test_it_imports(name: str) -> None:
    importlib.import_module(name)
