# SPDX-License-Identifier: Apache-2.0
"""What is measured: contestants, cells, and how long each lasts. Nothing here runs anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Entrant:
    """A contestant as the benchmark enters it: `label` for people, `name` and `options` as in `runner.make`."""

    label: str
    name: str
    options: dict[str, Any]


ENTRANTS = {
    "ours": Entrant("ours", "ours", {}),
    "ours_solution": Entrant("ours, per solution", "ours", {"granularity": "solution"}),
    "fresh": Entrant("fresh process", "fresh", {}),
    "fresh_here": Entrant("fresh process, this venv", "fresh", {"plain": True}),
    "prime_code": Entrant("prime_code", "prime_code", {}),
    "prime_lean": Entrant("prime_code, lean", "prime_code", {"lean": True}),
    "in_process": Entrant("in process", "in_process", {}),
    "fork": Entrant("fork+exit", "fork_limit", {"mode": "os"}),
    "libc_fork": Entrant("C fork+exit", "fork_limit", {"mode": "libc"}),
}
"""In the order in which they take turns."""

JUDGES = ("ours", "ours_solution", "fresh", "prime_code", "in_process")
LIMITS = ("fork", "libc_fork")
PRINCIPAL = (*JUDGES, *LIMITS)


@dataclass(frozen=True)
class Cell:
    """One kind of solutions, and who judges them.

    `entries` are (entrant, cores). A `whole` cell times all of its solutions once per slice; the others repeat one
    solution until the slice is over. `heavy` cells take part in every second round. `stride`: a fresh process per test
    runs only every so many tests, since each costs the same (odd, so that it meets the tests that `wrong` fails).
    """

    imports: str
    behaviour: str
    tests: int
    entries: tuple[tuple[str, int], ...]
    whole: bool = False
    heavy: bool = False
    stride: int = 1

    @property
    def name(self) -> str:
        return f"{self.imports}, {self.behaviour}, {self.tests} tests"


@dataclass(frozen=True)
class Plan:
    """Everything about one run of the benchmark. `seconds` is the length of a slice; rounds stop when `budget_s` is
    used up, whatever `rounds` says.
    """

    cells: tuple[Cell, ...]
    rounds: int
    seconds: float
    budget_s: float
    endless_limits: dict[str, Any]
    endless_peers: bool


def default(cores: int) -> Plan:
    """The full benchmark, under ten minutes on two cores."""
    return Plan(
        cells=tuple(_cells((16, 64), cores)),
        rounds=5,
        seconds=0.25,
        budget_s=460.0,
        endless_limits={"limits": {"cpu_s": 4.0, "wall_s": 6.0}, "budget_cpu_s": 30.0},
        endless_peers=True,
    )


def quick(cores: int) -> Plan:
    """What the targets need, with short slices: under a minute, and as noisy as that."""
    wanted = []
    for cell in _cells((16,), cores):
        if cell.behaviour == "right" or (cell.imports, cell.behaviour) == ("std", "mixed"):
            entries = [(name, n) for name, n in cell.entries if name == "ours" or (name in PRINCIPAL and n == 1)]
            wanted.append(replace(cell, entries=tuple(entries), stride=2 * cell.stride + 1 if cell.whole else 1))
    return Plan(
        cells=tuple(wanted),
        rounds=2,
        seconds=0.1,
        budget_s=30.0,
        endless_limits={"limits": {"cpu_s": 0.3, "wall_s": 0.9}, "budget_cpu_s": 2.0},
        endless_peers=False,
    )


def _cells(sizes: tuple[int, ...], cores: int) -> list[Cell]:
    cells = []
    for tests in sizes:
        for imports in ("trivial", "std", "numpy", "sympy"):
            entries = [(name, 1) for name in PRINCIPAL]
            if imports == "std":
                entries += [("fresh_here", 1), ("prime_lean", 1)]
                entries += [(name, cores) for name in JUDGES if cores > 1]
            cells.append(Cell(imports, "right", tests, tuple(entries)))
        one_core = tuple((name, 1) for name in JUDGES)
        cells += [Cell("std", behaviour, tests, one_core) for behaviour in ("wrong", "crashing")]
        cells.append(Cell("std", "slow", tests, one_core, heavy=True, stride=tests // 4 - 1))
        on_all = tuple((name, cores) for name in ("ours", "ours_solution") if cores > 1)
        cells.append(Cell("std", "mixed", tests, (*one_core, *on_all), whole=True, heavy=True, stride=tests // 4 - 1))
    return cells
