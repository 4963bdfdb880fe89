# SPDX-License-Identifier: Apache-2.0
"""What a long run of the judge judges: mostly trivial programs with one test, and a steady share of everything that
ends badly or tries to leave something behind. Each with the verdict it must get, every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from klear_verl.judge import AssertTest, CallTest, Problem, StdioTest

MARKER = "klear-soak"
"""In the name of everything that a program tries to leave behind."""


@dataclass(frozen=True)
class Program:
    """A solution, how many of a thousand are like it, and the verdict of all its tests."""

    name: str
    share: int
    problem: Problem
    source: str
    verdict: str


_ADD = Problem(id="add", tests=(StdioTest(input="20 22\n", output="42\n"),))
_ADD_16 = Problem(id="add-16", tests=tuple(StdioTest(input=f"{n} 1\n", output=f"{n + 1}\n") for n in range(16)))
_HURRIED = _ADD.model_copy(update={"id": "hurried", "time_limit_s": 0.05})
_CALL = Problem(id="call", tests=(CallTest(args=[20, 22], expected=42),), entry_point="add")
_ASSERT = Problem(id="assert", tests=(AssertTest(code="assert add(20, 22) == 42"),), entry_point="add")
_FUNCTION = "def add(a, b):\n    return a + b\n"

_LITTER = f"""
import ctypes, os
def attempt(act, *arguments):
    try:
        return act(*arguments)
    except OSError:
        return None
for folder in ("/tmp", "/dev/shm", "/var/tmp", "."):
    attempt(lambda: open(folder + "/{MARKER}", "w").write("x"))
    attempt(os.mkdir, folder + "/{MARKER}-folder")
ctypes.CDLL(None).shmget(0x6b6c6561, 4096, 0o1600)
if attempt(os.fork) == 0:
    attempt(os.setsid)
    __import__("time").sleep(600)
print(sum(map(int, input().split())))
"""

PROGRAMS = (
    Program("right", 602, _ADD, "print(sum(map(int, input().split())))", "AC"),
    Program("wrong", 150, _ADD, "print(sum(map(int, input().split())) + 1)", "WA"),
    Program("raising", 80, _ADD, "print([][1])", "RE"),
    Program("leaving", 30, _ADD, "import sys\nprint(42)\nsys.exit(0)", "AC"),
    Program("not compiling", 30, _ADD, "print(", "CE"),
    Program("aborting", 20, _ADD, "import os\nos.abort()", "RE"),
    Program("segmentation fault", 15, _ADD, "import ctypes\nctypes.string_at(0)", "RE"),
    Program("hungry", 10, _ADD, "data = bytearray(8 << 30)\nprint(42)", "MLE"),
    Program("flooding", 5, _ADD, "while True:\n    print('x' * 65536)", "OLE"),
    Program("littering", 15, _ADD, _LITTER, "AC"),
    Program("sixteen tests", 10, _ADD_16, "print(sum(map(int, input().split())))", "AC"),
    Program(
        "threads",
        8,
        _ADD,
        "import threading\nt = threading.Thread(target=print, args=(42,))\nt.start()\nt.join()",
        "AC",
    ),
    Program("call", 10, _CALL, _FUNCTION, "AC"),
    Program("asserts", 10, _ASSERT, _FUNCTION, "AC"),
    Program("endless", 1, _HURRIED, "while True:\n    pass", "TLE"),
    Program("numpy", 3, _ADD, "import numpy as np\nprint(int(np.array([20, 22]).sum()))", "AC"),
    Program("sympy", 1, _ADD, "import sympy\nprint(sympy.Integer(42))", "AC"),
)


def endless_sequence() -> Iterator[Program]:
    """Programs in their shares, evenly spread: the same sequence in every run, with a period of a thousand."""
    spread = sorted(
        ((turn + 0.5) / program.share, place, program)
        for place, program in enumerate(PROGRAMS)
        for turn in range(program.share)
    )
    while True:
        for _, _, program in spread:
            yield program
