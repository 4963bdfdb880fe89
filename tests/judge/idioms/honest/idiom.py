# SPDX-License-Identifier: Apache-2.0
"""What an idiom is: an honest program that every judge must accept, and short-hands to write one down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from klear_verl.judge import AssertTest, CallTest, Problem, PytestTest, StdioTest, Test


@dataclass(frozen=True)
class Idiom:
    """A solution that passes all tests of its problem."""

    name: str
    problem: Problem
    source: str
    needs: str = ""
    """A module that may not be installed: without it the idiom says nothing."""


def _idiom(name: str, source: str, tests: Sequence[Test], needs: str) -> Idiom:
    entry_point = "f" if isinstance(tests[0], CallTest) else None
    return Idiom(name, Problem(id=name, tests=tuple(tests), entry_point=entry_point), source, needs)


def total(name: str, source: str, needs: str = "") -> Idiom:
    """A program that prints the sum of two numbers, wherever their lines break."""
    pairs = [("3 4\n", "7\n"), ("-5\n12\n", "7"), ("0 0", "0\n"), ("10\r\n32\r\n", "42\r\n")]
    return _idiom(name, source, [StdioTest(input=given, output=wanted) for given, wanted in pairs], needs)


def script(name: str, source: str, *pairs: tuple[str, str], needs: str = "") -> Idiom:
    """A program with its inputs and outputs."""
    return _idiom(name, source, [StdioTest(input=given, output=wanted) for given, wanted in pairs], needs)


def function(name: str, source: str, *calls: tuple[list[Any], Any], needs: str = "") -> Idiom:
    """A module with `f`, its arguments and its results."""
    return _idiom(name, source, [CallTest(args=args, expected=wanted) for args, wanted in calls], needs)


def asserts(name: str, source: str, *codes: str, needs: str = "") -> Idiom:
    """A module, and code with asserts."""
    return _idiom(name, source, [AssertTest(code=code) for code in codes], needs)


def pytests(name: str, source: str, *codes: str, needs: str = "") -> Idiom:
    """A module, and pytest modules."""
    return _idiom(name, source, [PytestTest(code=code) for code in codes], needs)
