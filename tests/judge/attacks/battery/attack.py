# SPDX-License-Identifier: Apache-2.0
"""What an attack is, and short-hands to write one down.

An attack measures its own success: it gives the accepted answer only if the forbidden act succeeded, so AC means a
hole. Words between @ signs in a source name things of the outside, see `outside.py`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from klear_verl.judge import AssertTest, CallTest, Problem, PytestTest, StdioTest, Test, Verdict

FAILS = frozenset({Verdict.WA, Verdict.RE})
"""What becomes of most attacks: refused and so without an answer, or dead."""
WRONG = frozenset({Verdict.WA})
SLOW = frozenset({Verdict.TLE})
HUNGRY = frozenset({Verdict.MLE, Verdict.RE, Verdict.TLE})
ANY = frozenset(Verdict) - {Verdict.AC, Verdict.IE}

KEY = "KEY" + secrets.token_hex(12)
"""An expected output that no program can guess; FIND_KEY recognises it, and does not contain it itself."""
FIND_KEY = 'import re\nfind_key = re.compile(rb"KEY[0-9a-f]{24}").findall\n'

LIBC = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"


@dataclass(frozen=True)
class Attack:
    """Problems and sources, judged in turn by one judge. No verdict of the last may be outside `allowed`."""

    name: str
    tries: str
    """One line: what it would gain."""
    steps: tuple[tuple[Problem, str], ...]
    allowed: frozenset[Verdict] = FAILS
    between_tests: bool = False
    """Needs one test of a solution to be kept from another, which granularity "solution" does not promise."""
    machine: str = ""
    """The only architecture that it is written for."""


def _attack(name: str, tries: str, source: str, tests: Sequence[Test], options: dict[str, Any]) -> Attack:
    entry_point = "f" if isinstance(tests[0], CallTest) else None
    problem = Problem(id=name, tests=tuple(tests), entry_point=entry_point, comparison="tokens")
    return Attack(name, tries, ((problem, source),), **options)


def script(
    name: str, tries: str, source: str, *, stdin: str = "", expected: str = "42", tests: int = 1, **options: Any
) -> Attack:
    """A program that reads standard input and would have to print `expected`."""
    return _attack(name, tries, source, [StdioTest(input=stdin, output=expected)] * tests, options)


def function(
    name: str,
    tries: str,
    source: str,
    *,
    args: Sequence[Any] = (),
    expected: Any = 42,
    tests: int = 1,
    **options: Any,
) -> Attack:
    """A module whose `f(*args)` would have to return `expected`."""
    return _attack(name, tries, source, [CallTest(args=list(args), expected=expected)] * tests, options)


def asserts(name: str, tries: str, source: str, code: str, **options: Any) -> Attack:
    """A module after which `code`, with its asserts, would have to reach its end."""
    return _attack(name, tries, source, [AssertTest(code=code)], options)


def pytests(name: str, tries: str, source: str, code: str, **options: Any) -> Attack:
    """A module after which the pytest module `code` would have to pass."""
    return _attack(name, tries, source, [PytestTest(code=code)], options)


def relay(name: str, tries: str, first: str, second: str, *, stdin: str = "", expected: str = "42") -> Attack:
    """Two solutions: the second would print `expected` if the first could leave it something."""
    problem = Problem(id=name, tests=(StdioTest(input=stdin, output=expected),), comparison="tokens")
    return Attack(name, tries, ((problem, first), (problem, second)))


def syscall(name: str, tries: str, number: int, arguments: str, prepare: str = "") -> Attack:
    """One system call of x86-64, by its number, without any wrapper that could refuse it first."""
    source = f"{LIBC}{prepare}\nprint(42 if libc.syscall({number}, {arguments}) >= 0 else 'refused')"
    return script(name, tries, source, machine="x86_64")
