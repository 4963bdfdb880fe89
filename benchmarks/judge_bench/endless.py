# SPDX-License-Identifier: Apache-2.0
"""What a solution that never ends costs, with 64 tests: once per judge, two judges at a time, a core each.

Peers that would take minutes are measured on one test of each kind that they run, and the rest is multiplied out; the
row says so.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from . import machine, programs
from .contestants.in_process import ALARM_S
from .plan import ENTRANTS, Plan
from .team import ContestantFailed, Team

TESTS = 64
_PRIME_SINGLES = 10
"""After a failure prime_code grades the first ten tests one by one."""


@dataclass(frozen=True)
class EndlessRow:
    """`cpu_s` and `wall_s` of one solution; None where they were not measured. `how` is one clause for a person."""

    judge: str
    cpu_s: float | None
    wall_s: float | None
    how: str


def measure(plan: Plan, failures: dict[str, str]) -> list[EndlessRow]:
    """One row per judge. Ours twice: as configured by default, and with the budget as the only brake."""
    lanes: list[list[tuple[str, dict[str, Any], int, str]]] = [[], []]
    for lane, name in zip(lanes, ("ours", "ours_solution"), strict=True):
        default = {**ENTRANTS[name].options, **plan.endless_limits}
        lane.append((name, default, TESTS, "stops after 3 time-outs"))
        lane.append((name, {**default, "stop_after_timeouts": 0}, TESTS, "stopped by its budget alone"))
    if plan.endless_peers:
        lanes[0].append(("fresh", {}, 1, f"one test measured, times {TESTS}"))
        lanes[1].append(("prime_lean", {"lean": True}, 1, f"one test measured, both ways, times {_PRIME_SINGLES}"))
    cores = machine.cores_in_use()
    with ThreadPoolExecutor(2) as pool:
        running = [
            pool.submit(_run_lane, lane, {cores[number % len(cores)]}, failures) for number, lane in enumerate(lanes)
        ]
        rows = [row for lane in running for row in lane.result()]
    stops = f"its alarm after {ALARM_S} s, by construction; LiveCodeBench stops at the first failure"
    return [*rows, EndlessRow(ENTRANTS["in_process"].label, None, float(ALARM_S), stops)]


def _run_lane(
    jobs: list[tuple[str, dict[str, Any], int, str]], cores: set[int], failures: dict[str, str]
) -> list[EndlessRow]:
    rows = []
    for name, options, tests, how in jobs:
        try:
            worker = _once(name, options, tests, cores)
        except ContestantFailed as error:
            failures[f"{name}, endless"] = str(error)
            continue
        cpu_s, wall_s = worker["cpu_s"] or None, worker["wall_s"]
        if name == "fresh":
            wall_s *= TESTS
        if name == "prime_lean":
            # 5 s for all tests together, then 10 s for the one test that there was: of these there would be ten.
            wall_s = wall_s / 3 + _PRIME_SINGLES * wall_s * 2 / 3
        rows.append(EndlessRow(ENTRANTS[name].label, cpu_s, wall_s, how))
    return rows


def _once(name: str, options: dict[str, Any], tests: int, cores: set[int]) -> dict[str, Any]:
    team = Team(ENTRANTS[name].name, options, 1)
    try:
        # Zygotes start with a harmless program, outside the timing.
        team.load([programs.case("std", "right", 1, 1)])
        team.go(0.0, True, cores)
        team.load([programs.case("std", "endless", tests, 1)])
        return team.go(0.0, True, cores)[0]
    finally:
        team.close()
