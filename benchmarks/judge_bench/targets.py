# SPDX-License-Identifier: Apache-2.0
"""The performance targets of the judge, and whether a run met them. All are ratios within one run, but for the cost of
an endless solution.
"""

from __future__ import annotations

from dataclasses import dataclass

from .endless import EndlessRow
from .plan import ENTRANTS, Cell, Plan
from .rounds import Results


@dataclass(frozen=True)
class Target:
    """`value` is None where the run did not measure it. `spread` is lowest to highest round."""

    what: str
    bound: float
    value: float | None
    at_most: bool = False
    unit: str = "×"
    spread: tuple[float, float] | None = None

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.bound if self.at_most else self.value >= self.bound


RATIOS = (
    # imports, behaviour, faster one, slower one, at least
    ("std", "right", "ours", "fork", 0.75),
    ("std", "right", "ours", "fresh", 12.0),
    ("std", "mixed", "ours", "prime_code", 2.5),
    ("numpy", "right", "ours", "fresh", 40.0),
    ("sympy", "right", "ours", "fresh", 100.0),
    ("trivial", "right", "ours_solution", "ours", 10.0),
)
"""Each at every number of tests that the plan has."""

SCALING = 0.9
OVERRUN = 1.01
"""A budget is CPU time that is looked at now and then, so it is never met to the millisecond."""


def evaluate(plan: Plan, results: Results, endless: list[EndlessRow]) -> list[Target]:
    """All targets against one run."""
    found = []
    for imports, behaviour, one, other, bound in RATIOS:
        for cell in plan.cells:
            if (cell.imports, cell.behaviour) == (imports, behaviour):
                what = f"{cell.name}: {ENTRANTS[one].label}, to {ENTRANTS[other].label}"
                found.append(_ratio(what, bound, results, cell, (one, 1), (other, 1)))
    for cell in plan.cells:
        for name, cores in cell.entries:
            if name == "ours" and cores > 1:
                what = f"{cell.name}: {ENTRANTS[name].label}, {cores} cores to 1, per core"
                found.append(_ratio(what, SCALING, results, cell, (name, cores), (name, 1)))
    budget_s = float(plan.endless_limits["budget_cpu_s"])
    for row in endless:
        if row.cpu_s is not None:
            what = f"endless, 64 tests: {row.judge}, {row.how}"
            found.append(Target(what, budget_s * OVERRUN, row.cpu_s, at_most=True, unit=" s CPU"))
    return found


def _ratio(
    what: str, bound: float, results: Results, cell: Cell, one: tuple[str, int], other: tuple[str, int]
) -> Target:
    ratios = results.ratios(cell, one, other)
    spread = (min(ratios), max(ratios)) if ratios else None
    return Target(what, bound, results.ratio(cell, one, other), spread=spread)
