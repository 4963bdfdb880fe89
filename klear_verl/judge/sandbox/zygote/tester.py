# SPDX-License-Identifier: Apache-2.0
"""Runs a test with asserts (HumanEval, MBPP, `functional`, pytest) in a process of its own.

No code of the solution ever runs here, and nothing of the test is in the solution's process: the two have a line
between them (`wire.py`), over which the test looks names up and calls. So the solution can't leave early, switch
asserts off, read the test, patch what it uses, or report for it. What it returns arrives as a plain value. What is no
plain value, an instance of a class of its own, stays there, and the test holds a stand-in (`stand_in.py`), which never
passes for one.

Not covered: a test that calls a helper of the solution inside its assertion trusts that helper (`assert
check_sorted(f(x))`), and a test that compares two objects of the solution's own classes trusts their `__eq__`.
"""

from __future__ import annotations

import builtins
import importlib
import os
import sys
import types
from typing import Any

from klear_verl.judge.sandbox.zygote import program, test_module
from klear_verl.judge.sandbox.zygote.proxy import MISSING, Solution

TEST, REPORT = 4, 5
PASSED, FAILED, RAISED = b"P", b"F", b"X"
_REPORT_BYTES = 1000


def main(entry_point: str) -> int:
    """Runs the test in TEST against the solution behind LINE, and writes the outcome to REPORT; returns 0."""
    source = os.pread(TEST, os.fstat(TEST).st_size, 0)
    is_pytest, text = source[:1] == b"p", source[1:].decode("utf-8", "surrogatepass")
    solution = Solution(entry_point)
    try:
        namespace = _Namespace(solution, test_module.library_modules(text))
        test_module.run(text, namespace, _module_of(solution), collect=is_pytest)
        outcome = RAISED + b"the solution ended during the test" if solution.gone else PASSED
    except AssertionError as error:
        outcome = FAILED + _line_of(error) + str(error).encode("utf-8", "backslashreplace")
    except BaseException as error:
        outcome = RAISED + f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace")
    os.write(REPORT, outcome[:_REPORT_BYTES])
    return 0


def _line_of(error: BaseException) -> bytes:
    trace, number = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == test_module.FILE:
            number = trace.tb_lineno
        trace = trace.tb_next
    return f"line {number} of the test: ".encode()


class _Namespace(dict[str, Any]):
    """The globals of the test: what it defines itself, then Python's own, its modules included, then the solution's,
    then the modules that solutions take for granted.
    """

    def __init__(self, solution: Solution, modules: dict[str, str]):
        super().__init__(__name__="test", __builtins__=builtins)
        self._solution = solution
        self._modules = modules

    def __missing__(self, name: str) -> Any:
        if name in self._modules:
            return importlib.import_module(self._modules[name])
        value = self._solution.name(name)
        if value is MISSING:
            return program.taken_for_granted(name)
        return value


def _module_of(solution: Solution) -> types.ModuleType:
    """`solution`, for tests that import it."""

    class Module(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            value = solution.name(name) if not name.startswith("__") else MISSING
            if value is MISSING:
                raise AttributeError(f"the solution has no {name!r}")
            return value

    module = Module("solution")
    sys.modules["solution"] = module
    return module
