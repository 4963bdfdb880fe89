# SPDX-License-Identifier: Apache-2.0
"""Sixty solutions whose verdicts a busy machine might change: many near a limit, on either side of it, among ordinary
ones.

Two kinds of near: programs that watch their own CPU clock and stop at a share of the limit, which is exact, and
programs that do an amount of work calibrated to that share, as real ones do. Sleepers are near the wall limit only as
far as sleeping goes: time without a core does not count.
"""

from __future__ import annotations

from dataclasses import dataclass

from klear_verl.judge import CallTest, Limits, Problem, StdioTest

from .programs import calibrate_loops

LIMITS = Limits(cpu_s=0.5, wall_s=1.5, memory_mib=256, stdout_mib=1.0)

_TESTS = 3


@dataclass(frozen=True)
class Solution:
    """`verdict` is that of every test."""

    name: str
    problem: Problem
    source: str
    verdict: str


def solutions() -> list[Solution]:
    """The same sixty every time, but for the calibrated amount of work."""
    loops = calibrate_loops(LIMITS.cpu_s)
    found = [
        _stdio(f"clock {share:.0%}", _clocked(share), "AC") for share in (0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6)
    ]
    found += [_stdio(f"work {share:.0%}", _working(int(share * loops)), "AC") for share in (0.2, 0.3, 0.4, 0.5, 0.6)]
    found += [_stdio(f"clock {share:.0%}", _clocked(share), "TLE") for share in (1.3, 2.0)]
    found += [_stdio(f"work {share:.0%}", _working(int(share * loops)), "TLE") for share in (2.0, 4.0)]
    found.append(_stdio("endless", "while True:\n    pass", "TLE"))
    found.append(_stdio("endless sleep", "import time\ntime.sleep(600)", "TLE"))
    found += [
        _stdio(f"sleeps {share:.0%}", f"import time\ntime.sleep({share * LIMITS.wall_s})\nprint(42)", "AC")
        for share in (0.1, 0.3, 0.6)
    ]
    found.append(_stdio("two threads, 60%", _THREADS, "AC"))
    found.append(_stdio("memory, under", f"data = bytearray({LIMITS.memory_mib // 2} << 20)\nprint(42)", "AC"))
    found.append(_stdio("memory, over", f"data = bytearray({LIMITS.memory_mib * 2} << 20)\nprint(42)", "MLE"))
    found.append(_stdio("output, under", "print(42, ' ' * 900_000)", "AC"))
    found.append(_stdio("output, over", "print('x' * (2 << 20))", "OLE"))
    found.append(_stdio("does not compile", "print(", "CE"))
    found.append(_stdio("raises", "print([][1])", "RE"))
    found.append(_stdio("aborts", "import os\nos.abort()", "RE"))
    for number in range(6):
        found.append(_call(f"call {number}", f"def add(a, b):\n    return a + b + {number % 2}", number % 2 == 0))
    ordinary = {"print(42)": "AC", "print(41)": "WA", "import heapq, re\nprint(42)": "AC", "print(input())": "WA"}
    for number, (source, verdict) in enumerate((*ordinary.items(),) * 6):
        found.append(_stdio(f"ordinary {number}", f"{source}  # {number}", verdict))
    return found


def _stdio(name: str, source: str, verdict: str) -> Solution:
    tests = tuple(StdioTest(input=f"{number}\n", output="42\n") for number in range(_TESTS))
    return Solution(name, Problem(id=name, tests=tests), source, verdict)


def _call(name: str, source: str, right: bool) -> Solution:
    tests = tuple(CallTest(args=[number, 1], expected=number + 1) for number in range(_TESTS))
    return Solution(name, Problem(id=name, tests=tests, entry_point="add"), source, "AC" if right else "WA")


def _clocked(share: float) -> str:
    # From the start of the program: a child that runs several tests has a clock that went on.
    until = f"time.process_time() + {share * LIMITS.cpu_s}"
    return f"import time\nuntil = {until}\nwhile time.process_time() < until:\n    pass\nprint(42)"


def _working(loops: int) -> str:
    return f"def work():\n    x = 0\n    for i in range({loops}):\n        x += i * i % 7\nwork()\nprint(42)"


_THREADS = f"""
import threading, time
def spin():
    until = time.thread_time() + {0.3 * LIMITS.cpu_s}
    while time.thread_time() < until:
        pass
threads = [threading.Thread(target=spin) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(42)
"""
