# SPDX-License-Identifier: Apache-2.0
"""Judges shared by the tests of this room, and short-hands for problems of one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from klear_verl.judge import AssertTest, CallTest, Judge, JudgeConfig, Judgement, Limits, Problem

SHORT = Limits(cpu_s=0.5, wall_s=1.5, memory_mib=192, stdout_mib=1)


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    with Judge() as shared:
        yield shared


@pytest.fixture(scope="session")
def strict_judge() -> Iterator[Judge]:
    """Short limits, and every layer required: what the attacks are tried on."""
    with Judge(JudgeConfig(limits=SHORT)) as shared:
        yield shared


@pytest.fixture
def call(strict_judge: Judge) -> Callable[..., Judgement]:
    """Calls f(*args) of a solution."""

    def run(source: str, args: list[Any], expected: Any) -> Judgement:
        test = CallTest(args=args, expected=expected)
        return strict_judge.run(Problem(id="call", tests=(test,), entry_point="f"), source)

    return run


@pytest.fixture
def asserting(strict_judge: Judge) -> Callable[[str, str], Judgement]:
    """Runs test code after a solution."""

    def run(source: str, code: str) -> Judgement:
        return strict_judge.run(Problem(id="assert", tests=(AssertTest(code=code),)), source)

    return run
