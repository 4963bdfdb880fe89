# SPDX-License-Identifier: Apache-2.0
"""The programs that every contestant judges: four kinds of imports times five behaviours, and a realistic mix.

All of them add three numbers, so that what is timed is the judging. None says how long it should take: `slow` ones do
a fixed amount of work, calibrated once per run, so that a judge that makes programs slower pays for it.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from klear_verl.judge import Problem, StdioTest

IMPORTS = {
    "trivial": ("", "sum(numbers)"),
    "std": (
        "import sys, re, math, heapq, bisect, itertools, functools\nfrom collections import Counter, deque\n",
        "sum(heapq.nsmallest(3, numbers))",
    ),
    "numpy": ("import numpy as np\n", "int(np.array(numbers).sum())"),
    "sympy": ("import sympy\n", "int(sum(map(sympy.Integer, numbers)))"),
}
"""Import lines, and an expression that uses them."""

SLOW_S = 0.05

MIX = {"right": 10, "wrong": 6, "crashing": 2, "uncompilable": 1, "growing": 1}
"""Solutions of each behaviour in the mix. Group-relative training keeps the problems that the policy solves about half
of the time. Of the rest, most print something wrong for some inputs, fewer raise, few do not compile. One in twenty is
right and slow, as slow programs are: on the larger tests only (here every fourth). Endless loops are timed apart,
because a single one costs more than all of these.
"""

_ENDINGS = {
    "right": "print(total)\n",
    "wrong": "print(total + numbers[0] % 2)\n",  # for every second test
    "crashing": "print(numbers[total + 3])\n",
    "uncompilable": "print(total\n",
    "slow": "work()\nprint(total)\n",
    "growing": "if numbers[0] % 4 == 3:\n    work()\nprint(total)\n",
    "endless": "while True:\n    pass\n",
}
_ACCEPTED = ("right", "slow", "growing")


@dataclass(frozen=True)
class Case:
    """A solution of a problem, and whether it should pass all tests."""

    name: str
    problem: Problem
    source: str
    accepted: bool


def calibrate_loops(seconds: float = SLOW_S) -> int:
    """How many turns of `work()` take `seconds` of CPU time here."""
    namespace: dict[str, object] = {}
    exec(_work(100_000), namespace)
    times = []
    for _ in range(7):
        started = time.process_time()
        namespace["work"]()  # type: ignore[operator]
        times.append(time.process_time() - started)
    return int(100_000 * seconds / statistics.median(times))


def case(imports: str, behaviour: str, tests: int, loops: int, number: int = 0) -> Case:
    """One solution with `tests` tests. `number` makes its text unlike that of its twins, so that nothing can be
    cached.
    """
    head, total = IMPORTS[imports]
    lines = [f"# {number}\n", head, _work(loops), f"numbers = list(map(int, input().split()))\ntotal = {total}\n"]
    rows = [(index, index + 1, 3 * index) for index in range(tests)]
    problem = Problem(
        id=f"{imports}-{tests}",
        tests=tuple(StdioTest(input=f"{a} {b} {c}\n", output=f"{a + b + c}\n") for a, b, c in rows),
    )
    return Case(f"{imports}/{behaviour}", problem, "".join(lines) + _ENDINGS[behaviour], behaviour in _ACCEPTED)


def cases(imports: str, behaviour: str, tests: int, loops: int) -> list[Case]:
    """The solutions of one cell of the benchmark: one, or those of the mix in an order that spreads each behaviour."""
    if behaviour != "mixed":
        return [case(imports, behaviour, tests, loops)]
    spread = sorted(((k + 0.5) / count, name) for name, count in MIX.items() for k in range(count))
    return [case(imports, name, tests, loops, number) for number, (_, name) in enumerate(spread)]


def _work(loops: int) -> str:
    # A function: its locals are as fast in a module as inside the function that prime_code wraps programs in.
    return f"def work():\n    x = 0\n    for i in range({loops}):\n        x += i * i % 7\n    return x\n"
