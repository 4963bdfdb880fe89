# SPDX-License-Identifier: Apache-2.0
"""The contestants: everything that can say whether a program passes its tests.

A contestant has `judge(case, deadline)`, which runs one solution and returns a `Done`; `facts()`, what should be known
about it; and `close()`. Each runs in a process of its own (`runner.py`), so that none inherits another's memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ..programs import Case


@dataclass(frozen=True)
class Done:
    """What came of one solution. `accepted` is None where the deadline cut it short; `cpu_s` is 0 where the contestant
    does not measure it.
    """

    tests: int
    accepted: bool | None
    cpu_s: float = 0.0
    detail: str = ""


class Contestant(Protocol):
    """See the module."""

    def judge(self, case: Case, deadline: float) -> Done: ...

    def facts(self) -> dict[str, Any]: ...

    def close(self) -> None: ...


def same_lines(actual: str, expected: str) -> bool:
    """The comparison of the contestants that have none: line by line, white space around them aside."""
    mine, theirs = actual.strip().split("\n"), expected.strip().split("\n")
    return [line.strip() for line in mine] == [line.strip() for line in theirs]
