# SPDX-License-Identifier: Apache-2.0
"""The clockwork: every contestant in every cell, round after round, so that a machine whose load drifts treats all of
them alike. Ratios are formed within a round; what is reported is their median.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from . import machine, programs
from .plan import ENTRANTS, Cell, Plan
from .team import ContestantFailed, Team

Entry = tuple[str, int]


@dataclass
class Sample:
    """One slice. `rate` is tests per second and core; `ms` is what a core spends on one test, of which `own_ms` is CPU
    time of the contestant's own process (for ours: the supervisor).
    """

    round: int
    rate: float
    solutions: int
    own_ms: float = 0.0
    misjudged: list[str] = field(default_factory=list)

    @property
    def ms(self) -> float:
        return 1e3 / self.rate


@dataclass
class Results:
    """All samples, and why contestants that dropped out did."""

    samples: dict[Cell, dict[Entry, list[Sample]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def ms(self, cell: Cell, entry: Entry) -> float | None:
        """Median milliseconds per test and core."""
        samples = self.samples.get(cell, {}).get(entry, [])
        return statistics.median(sample.ms for sample in samples) if samples else None

    def own_ms(self, cell: Cell, entry: Entry) -> float | None:
        """Median CPU milliseconds per test of the contestant's own process."""
        samples = self.samples.get(cell, {}).get(entry, [])
        return statistics.median(sample.own_ms for sample in samples) if samples else None

    def ratios(self, cell: Cell, one: Entry, other: Entry) -> list[float]:
        """How many times faster `one` was than `other`, for each round that has both."""
        theirs = {sample.round: sample.rate for sample in self.samples.get(cell, {}).get(other, [])}
        mine = self.samples.get(cell, {}).get(one, [])
        return [sample.rate / theirs[sample.round] for sample in mine if sample.round in theirs]

    def ratio(self, cell: Cell, one: Entry, other: Entry) -> float | None:
        """The median of `ratios`."""
        found = self.ratios(cell, one, other)
        return statistics.median(found) if found else None

    def misjudged(self, cell: Cell, entry: Entry) -> list[str]:
        """Cases that the contestant did not judge as they are."""
        return sorted({name for sample in self.samples.get(cell, {}).get(entry, []) for name in sample.misjudged})


class Rounds:
    """Runs a plan. Contestants start when they are first needed, and end with the context."""

    def __init__(self, plan: Plan, loops: int):
        self._plan = plan
        self._loops = loops
        self._cores = machine.cores_in_use()
        self._most = {
            name: max(c for cell in plan.cells for n, c in cell.entries if n == name) for name in _names(plan)
        }
        self._teams: dict[str, Team] = {}
        self._warm: set[tuple[str, str]] = set()
        self.results = Results()

    def run(self) -> Results:
        """All rounds of the plan, or as many as its budget allows, but at least one."""
        self._start()
        began = time.monotonic()
        costs_s = {"light": 0.0, "heavy": 0.0}
        for number in range(self._plan.rounds):
            kinds = ("light", "heavy") if number % 2 == 0 else ("light",)
            if time.monotonic() - began + sum(costs_s[kind] for kind in kinds) > self._plan.budget_s:
                break
            for kind in kinds:
                started = time.monotonic()
                for cell in self._plan.cells:
                    if cell.heavy == (kind == "heavy"):
                        self._visit(cell, number)
                costs_s[kind] = time.monotonic() - started
            print(f"round {number + 1} of {self._plan.rounds}, {time.monotonic() - began:.0f} s", file=sys.stderr)
        self.results.facts |= {name: team.facts for name, team in self._teams.items()}
        return self.results

    def _start(self) -> None:
        print("starting the contestants", file=sys.stderr)
        for name, most in self._most.items():
            self._teams[name] = Team(ENTRANTS[name].name, ENTRANTS[name].options, most)
        # All of them are up before anything is timed: importing verl alone keeps a core busy for seconds.
        for name, team in list(self._teams.items()):
            try:
                team.load([])
            except ContestantFailed as error:
                self._drop(name, str(error))

    def _drop(self, name: str, why: str) -> None:
        self.results.failures[name] = why
        team = self._teams.pop(name)
        self.results.facts[name] = team.facts
        team.close()

    def _visit(self, cell: Cell, number: int) -> None:
        cases = programs.cases(cell.imports, cell.behaviour, cell.tests, self._loops)
        for name, cores in cell.entries:
            team = self._teams.get(name)
            if team is None:
                continue
            # Which core is the faster one may depend on the machine's other guests.
            first = number % len(self._cores) if cores == 1 else 0
            chosen = set(self._cores[first : first + cores])
            try:
                self._warm_up(name, team, cell.imports, chosen)
                team.load(cases, cell.stride)
                workers = team.go(self._plan.seconds, cell.whole, chosen)
            except ContestantFailed as error:
                self._drop(name, f"{cell.name}: {error}")
                continue
            rate = sum(worker["tests"] / worker["wall_s"] for worker in workers) / cores
            tests, solutions = (sum(worker[key] for worker in workers) for key in ("tests", "solutions"))
            sample = Sample(number, rate, solutions, 1e3 * sum(worker["own_cpu_s"] for worker in workers) / tests)
            sample.misjudged = sorted({case for worker in workers for case in worker["misjudged"]})
            self.results.samples.setdefault(cell, {}).setdefault((name, cores), []).append(sample)

    def _warm_up(self, name: str, team: Team, imports: str, cores: set[int]) -> None:
        """Starts zygotes and fills the file cache, once per contestant and imports, on all the cores it will use."""
        if (name, imports) not in self._warm:
            team.load([programs.case(imports, "right", 4, self._loops)])
            team.go(0.0, False, set(self._cores[: self._most[name]]) | cores)
            self._warm.add((name, imports))

    def __enter__(self) -> Rounds:
        return self

    def __exit__(self, *_: object) -> None:
        for team in self._teams.values():
            team.close()


def _names(plan: Plan) -> list[str]:
    entered = {name for cell in plan.cells for name, _ in cell.entries}
    return [name for name in ENTRANTS if name in entered]
