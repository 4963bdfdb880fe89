# SPDX-License-Identifier: Apache-2.0
"""What tests can't ask of a solution here, because it runs in a process of its own: each with the reason."""

from __future__ import annotations

from tests.judge.idioms.honest.idiom import asserts, pytests

_SQUARE = "def f(x): return x * x"

BEYOND = (
    (
        "a named tuple arrives as a tuple, without its names",
        asserts(
            "named_tuple_results",
            "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(x): return P(x, 0)",
            "assert f(1) == (1, 0)\nassert f(1).x == 1\nx, y = f(3)\nassert x == 3",
        ),
    ),
    (
        "a member of an Enum stays with the solution, and its class with it",
        asserts(
            "enum_results",
            "from enum import Enum\nclass C(Enum):\n    R = 1\n    G = 2\ndef f(x): return C(x)",
            "assert f(1) == C.R\nassert f(2) is C.G\nassert f(1).name == 'R'",
        ),
    ),
    (
        "an object of the solution can't be entered by a with statement of the test",
        asserts(
            "context_managers",
            "class T:\n    def __enter__(self): return 5\n    def __exit__(self, *a): return False",
            "with T() as t:\n    assert t == 5",
        ),
    ),
    (
        "a coroutine stays with the solution",
        asserts(
            "async_functions",
            "import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return x * x",
            "import asyncio\nassert asyncio.run(f(2)) == 4",
        ),
    ),
    (
        "the test can't catch what the solution prints in its own process",
        asserts(
            "printed_output",
            "def f(): print('hello')",
            """
import io, contextlib
out = io.StringIO()
with contextlib.redirect_stdout(out):
    f()
assert out.getvalue() == 'hello\\n'
""",
        ),
    ),
    (
        "pytest's fixtures are not resolved",
        pytests(
            "fixtures",
            _SQUARE,
            "import pytest\n@pytest.fixture\ndef two():\n    return 2\ndef test_two(two):\n    assert f(two) == 4",
            needs="pytest",
        ),
    ),
    (
        "pytest's fixtures are not resolved",
        pytests(
            "captured_output",
            "def f(): print('hello')",
            "def test_output(capsys):\n    f()\n    assert capsys.readouterr().out == 'hello\\n'",
            needs="pytest",
        ),
    ),
    (
        "pytest's fixtures are not resolved",
        pytests(
            "changed_input",
            "def f(): return int(input())",
            """
def test_input(monkeypatch):
    monkeypatch.setattr('builtins.input', lambda *a: '42')
    assert f() == 42
""",
            needs="pytest",
        ),
    ),
)
