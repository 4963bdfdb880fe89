# SPDX-License-Identifier: Apache-2.0
"""Tests with asserts, in their own process: what reaches the solution and what comes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from klear_verl.judge import Judgement, Verdict

Asserting = Callable[[str, str], Judgement]

HONEST = {
    "values keep their types": (
        "def f(): return [1, 1.0, True, None, 'x', b'x', (1,), {1}, {(1, 2): [3]}, 2**100, 1j]",
        "r = f()\nassert r == [1, 1.0, True, None, 'x', b'x', (1,), {1}, {(1, 2): [3]}, 2**100, 1j]\n"
        "assert [type(x) for x in r] == [int, float, bool, type(None), str, bytes, tuple, set, dict, int, complex]",
    ),
    "standard library values": (
        "from decimal import Decimal\nfrom fractions import Fraction\nimport datetime\n"
        "def f(): return [Decimal('1.50'), Fraction(1, 3), range(3), datetime.date(2025, 1, 2)]",
        "import datetime\nfrom decimal import Decimal\nfrom fractions import Fraction\n"
        "assert f() == [Decimal('1.5'), Fraction(1, 3), range(3), datetime.date(2025, 1, 2)]",
    ),
    "subclasses count as what they hold": (
        "from collections import Counter, namedtuple, defaultdict\nP = namedtuple('P', 'x y')\n"
        "def f(): return P(1, 2), Counter('aab'), defaultdict(int, a=1)",
        "assert f() == ((1, 2), {'a': 2, 'b': 1}, {'a': 1})",
    ),
    "arguments changed in place": (
        "def f(x, d): x.sort(); x.append(9); d['k'] = 1",
        "x, d = [3, 1], {}\nf(x, d)\nassert x == [1, 3, 9] and d == {'k': 1}",
    ),
    "functions of the test": ("def f(g, xs): return [g(x) for x in xs]", "assert f(lambda x: 2 * x, [1, 2]) == [2, 4]"),
    "keyword arguments": ("def f(a, *, b=1): return a - b", "assert f(5, b=2) == 3"),
    "generators": ("def f(n):\n    yield from range(n)", "assert list(f(3)) == [0, 1, 2]\nassert sum(f(4)) == 6"),
    "constants": ("LIMIT = 7", "assert LIMIT == 7"),
    "exceptions by their own name": (
        "class Full(ValueError): pass\ndef f(): raise Full('no room')",
        "try:\n    f()\nexcept Full as error:\n    assert str(error) == 'no room' and isinstance(error, ValueError)\n"
        "else:\n    assert False",
    ),
    "objects": (
        "class Stack:\n    def __init__(self): self.items = []\n    def push(self, x): self.items.append(x)\n"
        "    def pop(self): return self.items.pop()\n    def __len__(self): return len(self.items)",
        "s = Stack()\ns.push(1)\ns.push(2)\nassert len(s) == 2 and s.pop() == 2 and s.items == [1]\n"
        "assert isinstance(s, Stack) and not isinstance(3, Stack)",
    ),
    "objects as arguments": (
        "class Node:\n    def __init__(self, v): self.v, self.next = v, None\n"
        "def total(n):\n    return n.v + (total(n.next) if n.next else 0)",
        "a = Node(1)\na.next = Node(2)\nassert total(a) == 3 and a.next.v == 2",
    ),
    "operators between objects": (
        "class V:\n    def __init__(self, x): self.x = x\n    def __add__(self, o): return V(self.x + o.x)\n"
        "    def __eq__(self, o): return self.x == o.x",
        "assert V(1) + V(2) == V(3)\nassert V(1) != V(2)",
    ),
    "modules that the solution imported": ("import math\ndef f(): return 2.5", "assert math.floor(f()) == 2"),
    "helpers in the test": (
        "def add(a, b): return a + b",
        "def check(candidate):\n    for a in range(50):\n        assert candidate(a, 1) == a + 1\ncheck(add)",
    ),
}


@pytest.mark.parametrize(("source", "code"), HONEST.values(), ids=HONEST.keys())
def test_honest_solution_passes(asserting: Asserting, source: str, code: str) -> None:
    judgement = asserting(source, code)
    assert judgement.acc, judgement.detail


FORGED = {
    "object that equals everything": "class E:\n    __eq__ = lambda s, o: True\ndef f(x): return E()",
    "number whose difference is always zero": (
        "class E:\n    __sub__ = __rsub__ = __abs__ = lambda s, *o: 0\n    __float__ = lambda s: 0.0\n"
        "def f(x): return E()"
    ),
    "object that is less and greater": "class E:\n    __lt__ = __gt__ = lambda s, o: True\ndef f(x): return E()",
    "container that holds everything": (
        "class E:\n    __contains__ = lambda s, o: True\n    __iter__ = lambda s: iter(())\ndef f(x): return E()"
    ),
    "module that is none": ("class M:\n    isclose = lambda s, *a, **k: True\nmath = M()\ndef f(x): return 0"),
    "builtin of its own": "def abs(x): return 0\ndef all(x): return True\ndef f(x): return 0",
    "StopIteration": "def f(x): raise StopIteration",
    "leaves": "import os\ndef f(x): os._exit(0)",
    "leaves in import": "import os\nos._exit(0)",
    "hangs up": "import os\ndef f(x): os.close(3)",
    "lies on the line": "import os\ndef f(x): os.write(3, b'\\x03\\x00\\x00\\x00=16'); return 16",
}
CHECKS = {
    "equality": "assert f(4) == 16",
    "tolerance": "assert abs(f(4) - 16) < 1e-6",
    "membership": "assert 16 in [f(4)]\nassert f(4) in [16]",
    "module": "assert math.isclose(f(4), 16)",
    "loop": "for got, wanted in zip(map(f, [4, 5]), [16, 25]):\n    assert got == wanted",
    "all": "assert all(f(x) == x * x for x in range(3, 5))",
    "swallowed": (
        "for x in (4, 5):\n    try:\n        got = f(x)\n    except Exception:\n        got = None\n"
        "    assert got == x * x"
    ),
}


@pytest.mark.parametrize("code", CHECKS.values(), ids=CHECKS.keys())
@pytest.mark.parametrize("source", FORGED.values(), ids=FORGED.keys())
def test_forged_result_does_not_pass(asserting: Asserting, source: str, code: str) -> None:
    judgement = asserting(source, code)
    assert judgement.verdicts[0] not in (Verdict.AC, Verdict.IE), judgement
    assert asserting("import math\ndef f(x): return x * x", code).acc


def test_test_is_in_no_object_of_the_solution(asserting: Asserting) -> None:
    source = """
import gc, os, sys
def f(x):
    seen = [str(o)[:4000] for o in gc.get_objects() if isinstance(o, (str, bytes, list, tuple, dict))]
    frame = sys._getframe()
    while frame:
        seen.append(str(frame.f_locals)[:4000])
        frame = frame.f_back
    for fd in range(64):
        try: seen.append(os.pread(fd, 4000, 0).decode())
        except OSError: pass
    return "found" if any("-".join(["needle", "in", "the", "test"]) in text for text in seen) else "clean"
"""
    judgement = asserting(source, "hidden = 'needle-in-the-test'\nassert f(0) == 'clean', f(0)")
    assert judgement.acc, judgement.detail


def test_time_of_the_test_is_not_the_solutions(asserting: Asserting) -> None:
    busy = "import time\nend = time.process_time() + 0.6\nwhile time.process_time() < end: pass\nassert f(1) == 1"
    assert asserting("def f(x): return x", busy).acc
