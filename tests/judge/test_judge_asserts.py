# SPDX-License-Identifier: Apache-2.0
"""Test code with asserts, and pytest modules: passing takes reaching the end."""

from __future__ import annotations

import importlib.util
import secrets
from collections.abc import Callable

import pytest

from klear_verl.judge import Judge, Judgement, Problem, PytestTest, Verdict

Asserting = Callable[[str, str], Judgement]
CHECK = "assert f(2) == 4\nassert f(3) == 9"


def test_right_solution_passes(asserting: Asserting) -> None:
    assert asserting("def f(x): return x * x", CHECK).acc


def test_failed_assert_is_a_wrong_answer(asserting: Asserting) -> None:
    assert asserting("def f(x): return x + x", CHECK).verdicts == (Verdict.WA,)


def test_exception_is_a_runtime_error(asserting: Asserting) -> None:
    assert asserting("def f(x): return x / 0", CHECK).verdicts == (Verdict.RE,)


@pytest.mark.parametrize(
    "source",
    [
        "import os; os._exit(0)",
        "import sys; sys.exit(0)",
        "exit()",
        "def f(x):\n    import os; os._exit(0)",
        "def f(x):\n    raise SystemExit(0)",
        "def f(x):\n    import os; os.kill(os.getpid(), 9)",
        "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 0",
        "import threading, os\ndef f(x):\n    t = threading.Thread(target=os._exit, args=(0,)); t.start(); t.join()",
        "class E:\n    __eq__ = lambda s, o: True\ndef f(x): return E()",
        "class E(int):\n    __eq__ = lambda s, o: True\ndef f(x): return E(1)",
        "import os\nos.write(3, b'CT' + bytes(16))\nos._exit(0)",
        "import builtins\nbuiltins.AssertionError = BaseException\ndef f(x): return 0",
        "import sys\nsys.excepthook = lambda *a: None\ndef f(x): return 0",
        "__debug__ if 0 else 0\ndef f(x): return None",
        "globals()['__klear_compare__'] = lambda *a: True\ndef f(x): return None",
        "print(open(__file__).read())",
    ],
)
def test_cheat_does_not_pass(asserting: Asserting, source: str) -> None:
    judgement = asserting(source, CHECK)
    assert judgement.verdicts[0] not in (Verdict.AC, Verdict.IE), judgement


def test_objects_of_the_solutions_class_can_be_compared_with_each_other(asserting: Asserting) -> None:
    source = "class P:\n    def __init__(s, x): s.x = x\n    def __eq__(s, o): return s.x == o.x"
    assert asserting(source, "assert [P(1)] == [P(1)]\nassert P(1) != P(2)").acc


def test_secret_is_in_no_object_while_the_tests_run(asserting: Asserting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_bytes", lambda size: b"abcdefghijklmnop")
    source = """
import gc, sys
def holds(value):
    return isinstance(value, (bytes, bytearray)) and bytes(range(97, 113)) in value
def f(x):
    frame = sys._getframe().f_back
    while frame:
        if any(map(holds, frame.f_locals.values())): return "found"
        frame = frame.f_back
    for o in gc.get_objects():
        if isinstance(o, (list, tuple, dict)):
            if any(map(holds, o.values() if isinstance(o, dict) else o)): return "found"
    return "clean"
"""
    judgement = asserting(source, "assert f(0) == 'clean', f(0)")
    assert judgement.acc, judgement.detail


def run_pytest(judge: Judge, source: str, code: str) -> Judgement:
    return judge.run(Problem(id="p", tests=(PytestTest(code=code),)), source)


SQUARE = "def square(x): return x * x"
BROKEN = "def square(x): return x + 1"


@pytest.mark.parametrize(
    "code",
    [
        "from solution import square\ndef test_two(): assert square(2) == 4",
        "def test_one(): pass\ndef test_two(): assert square(2) == 4",
        "class TestSquare:\n    def test_two(self): assert square(2) == 4",
        "class TestSquare:\n    def setup_method(self): self.x = 2\n    def test_two(self): assert square(self.x) == 4",
        "import unittest\nclass TestSquare(unittest.TestCase):\n    def setUp(self): self.x = 2\n"
        "    def test_two(self): self.assertEqual(square(self.x), 4)",
    ],
)
def test_pytest_module_passes_the_right_solution_only(strict_judge: Judge, code: str) -> None:
    right = run_pytest(strict_judge, SQUARE, code)
    assert right.acc, right.detail
    assert run_pytest(strict_judge, BROKEN, code).verdicts == (Verdict.WA,)


@pytest.mark.skipif(importlib.util.find_spec("pytest") is None, reason="pytest is not installed")
def test_parametrized_pytest_function_is_called_for_each_row(judge: Judge) -> None:
    code = "import pytest\n@pytest.mark.parametrize('x, y', [(0, 0), (2, 4)])\ndef test_s(x, y): assert square(x) == y"
    right = run_pytest(judge, SQUARE, code)
    assert right.acc, right.detail
    assert run_pytest(judge, "def square(x): return 0", code).verdicts == (Verdict.WA,)


def test_missing_pytest_is_our_failure_not_the_solutions(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    judgement = run_pytest(judge, SQUARE, "import pytest\ndef test_s(): assert square(2) == 4")
    assert (judgement.verdicts, judgement.pass_rate, judgement.acc) == ((Verdict.IE,), None, None)
    assert "pip install pytest" in judgement.detail


def test_test_functions_of_the_solution_itself_do_not_count(judge: Judge) -> None:
    judgement = run_pytest(judge, SQUARE + "\ndef test_mine(): assert False", "def test_two(): assert square(2) == 4")
    assert judgement.acc, judgement.detail
