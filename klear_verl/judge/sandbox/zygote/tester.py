# SPDX-License-Identifier: Apache-2.0
"""Runs a test with asserts (HumanEval, MBPP, `functional`, pytest) in a process of its own.

No code of the solution ever runs here, and nothing of the test is in the solution's process: there is a connection
between the two (`wire.py`), over which the test looks names up and calls. So the solution can't leave early, switch
asserts off, read the test, patch what it uses, or report for it. What it returns arrives as a plain value. What is no
plain value, an instance of a class of its own, stays there, and the test holds a proxy (`proxy.py`), which never passes
for one.

Test functions and classes are called in pytest's manner, without pytest.

Not covered: a test that calls a helper of the solution inside its assertion trusts that helper (`assert
check_sorted(f(x))`), and a test that compares two objects of the solution's own classes trusts their `__eq__`.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import os
import sys
import types
from typing import Any

from klear_verl.judge.sandbox.zygote import program
from klear_verl.judge.sandbox.zygote.proxy import MISSING, RemoteSolution

TEST, REPORT = 4, 5
PASSED, FAILED, RAISED = b"P", b"F", b"X"
_REPORT_BYTES = 1000
_FILE = "test.py"

_ALIASES = {"np": "numpy"}
_LIBRARY = {*sys.stdlib_module_names, *_ALIASES.values()}


def main(entry_point: str) -> int:
    """Runs the test in TEST against the solution at the other end of the connection; writes the outcome to REPORT;
    returns 0.
    """
    source = os.pread(TEST, os.fstat(TEST).st_size, 0)
    is_pytest, text = source[:1] == b"p", source[1:].decode("utf-8", "surrogatepass")
    solution = RemoteSolution(entry_point)
    try:
        namespace = _Namespace(solution, _library_modules(text))
        _run(text, namespace, _module_of(solution), collect=is_pytest)
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
        if trace.tb_frame.f_code.co_filename == _FILE:
            number = trace.tb_lineno
        trace = trace.tb_next
    return f"line {number} of the test: ".encode()


class _Namespace(dict[str, Any]):
    """The globals of the test: what it defines itself, then Python's own, its modules included, then the solution's,
    then the modules that solutions take for granted.
    """

    def __init__(self, solution: RemoteSolution, modules: dict[str, str]):
        super().__init__(__name__="test", __builtins__=builtins)
        self._solution = solution
        self._modules = modules

    def __missing__(self, name: str) -> Any:
        if name in self._modules:
            return importlib.import_module(self._modules[name])
        value = self._solution.name(name)
        if value is MISSING:
            return program.preloaded_module(name)
        return value


def _module_of(solution: RemoteSolution) -> types.ModuleType:
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


def _library_modules(source: str) -> dict[str, str]:
    """The names that the test uses as Python's modules (`math.isclose`) without importing them: name -> module.

    Taken from the solution, which may have imported them, they might be something else.
    """
    try:
        nodes = list(ast.walk(ast.parse(source, _FILE)))
    except SyntaxError:
        return {}  # executing it will say so
    owners = [node.value for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    by_themselves = {node.id for node in nodes if isinstance(node, ast.Name)} - {owner.id for owner in owners}
    names = {owner.id for owner in owners} - by_themselves
    return {name: module for name in names if (module := _ALIASES.get(name, name)) in _LIBRARY}


def _run(source: str, namespace: dict[str, Any], solution: types.ModuleType, collect: bool) -> None:
    """Executes `source`; with `collect`, every `test*` function and the methods of every `Test*` class too.

    Raises:
        BaseException: whatever the test raises; AssertionError if it fails.
    """
    exec(compile(source, _FILE, "exec", dont_inherit=True), namespace)
    if not collect:
        return
    called = 0
    for name, value in list(namespace.items()):
        if name.startswith("test") and isinstance(value, types.FunctionType):
            called += _call(value)
        elif isinstance(value, type) and (name.startswith("Test") or hasattr(value, "assertEqual")):
            called += _call_class(value)
    if not called:
        raise RuntimeError("the test module has no test to call")


def _call_class(kind: type) -> int:
    _call_if_there(kind, ("setup_class", "setUpClass"))
    called = sum(_call_method(kind, name) for name in dir(kind) if name.startswith("test"))
    _call_if_there(kind, ("teardown_class", "tearDownClass"))
    return called


def _call_if_there(owner: Any, names: tuple[str, ...]) -> None:
    for name in names:
        if hasattr(owner, name):
            getattr(owner, name)()


def _call_method(kind: type, method: str) -> int:
    # unittest.TestCase wants the method's name, and then has assertEqual and the like.
    instance = kind(method) if hasattr(kind, "assertEqual") else kind()
    for before in ("setup_method", "setUp"):
        set_up = getattr(instance, before, None)
        if set_up is not None:
            set_up(*[method][: set_up.__code__.co_argcount - 1])
    called = _call(getattr(instance, method))
    for after in ("teardown_method", "tearDown"):
        tear_down = getattr(instance, after, None)
        if tear_down is not None:
            tear_down(*[method][: tear_down.__code__.co_argcount - 1])
    return called


def _call(test: Any) -> int:
    """Calls a test function, once per parameter set if it has a `pytest.mark.parametrize`; returns how often."""
    calls: list[dict[str, Any]] = [{}]
    for mark in getattr(test, "pytestmark", []):
        if mark.name in ("skip", "xfail"):
            return 0
        if mark.name == "parametrize":
            names = mark.args[0].split(",") if isinstance(mark.args[0], str) else list(mark.args[0])
            names = [name.strip() for name in names]
            rows = [getattr(row, "values", row) for row in mark.args[1]]
            rows = [
                row if len(names) > 1 or hasattr(given, "values") else (row,)
                for row, given in zip(rows, mark.args[1], strict=True)
            ]
            calls = [{**call, **dict(zip(names, row, strict=True))} for call in calls for row in rows]
    for call in calls:
        test(**call)
    return len(calls)
