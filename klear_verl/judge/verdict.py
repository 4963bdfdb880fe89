# SPDX-License-Identifier: Apache-2.0
"""What the judge says: a verdict per test, and the judgement of one solution."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """The outcome of one test."""

    AC = "AC"
    """Accepted."""
    WA = "WA"
    """Wrong answer."""
    TLE = "TLE"
    """Over the CPU time limit, or over the wall-clock backstop."""
    MLE = "MLE"
    """Over the memory limit."""
    RE = "RE"
    """Runtime error: an exception, a non-zero exit, or death by a signal."""
    OLE = "OLE"
    """Over the output limit."""
    CE = "CE"
    """The solution does not compile."""
    IE = "IE"
    """Internal error: the judge's own fault. Never scored as wrong."""


@dataclass(frozen=True)
class Usage:
    """Resources of one judgement, summed over its tests. `wall_s` leaves out `queue_s`, the wait for a slot."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_memory_mib: float = 0.0
    queue_s: float = 0.0


@dataclass(frozen=True)
class Judgement:
    """The judgement of one solution.

    `verdicts` has one entry per test that counted, in the order of the (sub)set of tests. `pass_rate` is AC / all and
    `acc` says that all passed; both are None when any verdict is IE, because then nothing was learnt about the
    solution. `detail` is one line for a person: the first failure. `layers` names the isolation layers that were
    active, `tier` the zygote's preloaded modules. `untested` of the verdicts stand for tests that were not run any more
    (budget, time-outs), `retries` counts our own failures on the way.
    """

    verdicts: tuple[Verdict, ...]
    pass_rate: float | None
    acc: bool | None
    layers: tuple[str, ...]
    usage: Usage = field(default_factory=Usage)
    detail: str = ""
    untested: int = 0
    tier: str = "std"
    retries: int = 0
