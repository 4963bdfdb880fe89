# SPDX-License-Identifier: Apache-2.0
"""Runs a compiled solution as Python itself would run a script, or calls into it.

Covered: a test of kind assert or pytest passes only if its last statement was reached: the 16 secret bytes at the
start of the TEST descriptor must come back on the report pipe, and they are read after that statement, so they are in
no object and no frame before. Leaving early in any way, an exception or a kill fails. `==` between a value of the
solution's own class and anything else is refused (see `_Guarded`).
Not covered: the solution shares this process with the test code, so a solution written against this very file can read
the TEST descriptor itself. Tests of kind stdio and call do not have that weakness: nothing of their expected outputs
is in this process.
"""

from __future__ import annotations

import ast
import atexit
import builtins
import gc
import os
import sys
import threading
import types
from typing import Any

from klear_verl.judge.zygote import values

REPORT, TEST = 3, 5
TOKEN_BYTES = 16

_prelude: dict[str, Any] = {}


def prepare() -> None:
    """Collects the names that solutions of LeetCode's form (`class Solution`) take for granted, as LiveCodeBench's
    grader does.
    """
    for name in ("typing", "collections", "itertools", "functools", "heapq", "bisect", "math", "string", "operator"):
        module = sys.modules[name]
        public = getattr(module, "__all__", None) or [key for key in vars(module) if not key.startswith("_")]
        _prelude.update({key: getattr(module, key) for key in public if not hasattr(builtins, key)})
    for name in ("bisect", "collections", "copy", "functools", "heapq", "itertools", "json", "math"):
        _prelude[name] = sys.modules[name]
    for name in ("operator", "random", "re", "string", "sys"):
        _prelude[name] = sys.modules[name]


def run(mode: str, code: types.CodeType, payload: dict[str, Any]) -> int:
    """Runs one test in this process; returns the exit status."""
    if mode == "stdio":
        return _run_script(code, payload["source"])
    module = _fresh_module("solution")
    if mode == "call":
        vars(module).update(_prelude)
    try:
        exec(code, vars(module))
        if mode == "call":
            result = _resolve(module, payload["entry_point"])(*payload["args"])
            os.write(REPORT, b"V")
            _write_all(values.encode(result))
            return 0
        with open(TEST, "rb", closefd=False) as file:
            test = file.read()[TOKEN_BYTES:].decode("utf-8")
        try:
            _run_test(module, test, collect=mode == "pytest")
        except AssertionError as error:
            os.write(REPORT, f"W{error}".encode("utf-8", "backslashreplace")[:1000])
            raise
        _write_all(b"T" + os.pread(TEST, TOKEN_BYTES, 0))
        return 0
    except BaseException:
        # SystemExit too: no test is passed by leaving.
        _show_exception()
        return 1


def _fresh_module(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(__builtins__=builtins, __file__="solution.py")
    # dataclasses, pickle and typing look a class's module up here.
    sys.modules[name] = module
    return module


def _run_script(code: types.CodeType, source: str) -> int:
    module = _fresh_module("__main__")
    stdout, stderr = sys.stdout, sys.stderr
    status = 0
    try:
        exec(code, vars(module))
    except SystemExit as error:
        status = _exit_status(error)
    except BaseException:
        status = 1
        _show_exception()
    # What Py_FinalizeEx does, without tearing down the interpreter.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if "open(" in source:
        # Files that the program left open flush when they are collected: open(1, "w").
        vars(module).clear()
        gc.collect()
    for stream in (sys.stdout, sys.stderr, stdout, stderr):
        if stream is not None and not getattr(stream, "closed", False):
            try:
                stream.flush()
            except (OSError, ValueError):
                status = status or 120  # as Python reports it
    return status


def _exit_status(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _show_exception() -> None:
    sys.__excepthook__(*sys.exc_info())
    sys.stderr.flush()


def _resolve(module: types.ModuleType, entry_point: str) -> Any:
    solution = getattr(module, "Solution", None)
    if isinstance(solution, type) and hasattr(solution, entry_point):
        return getattr(solution(), entry_point)
    return getattr(module, entry_point)


def _write_all(data: bytes) -> None:
    while data:
        data = data[os.write(REPORT, data) :]


def _run_test(module: types.ModuleType, source: str, collect: bool) -> None:
    tree = ast.fix_missing_locations(_Guarded().visit(ast.parse(source, "test.py")))
    namespace = vars(module)
    before = dict(namespace)
    namespace[_GUARD] = _guarded_compare
    exec(compile(tree, "test.py", "exec", dont_inherit=True), namespace)
    if not collect:
        return
    mine = {name: value for name, value in namespace.items() if before.get(name) is not value}
    for name, value in mine.items():
        if name.startswith("test") and callable(value):
            _call_test(value)
        elif name.startswith("Test") and isinstance(value, type):
            for method in [key for key in dir(value) if key.startswith("test")]:
                fresh = value()
                if hasattr(fresh, "setUp"):
                    fresh.setUp()
                if hasattr(fresh, "setup_method"):
                    takes_method = fresh.setup_method.__code__.co_argcount > 1
                    fresh.setup_method(*[method][:takes_method])
                _call_test(getattr(fresh, method))


def _call_test(test: Any) -> None:
    """Calls a test function, once per parameter set if it has a `pytest.mark.parametrize`."""
    calls: list[dict[str, Any]] = [{}]
    for mark in getattr(test, "pytestmark", []):
        if mark.name in ("skip", "xfail"):
            return
        if mark.name == "parametrize":
            names = mark.args[0].split(",") if isinstance(mark.args[0], str) else list(mark.args[0])
            names = [name.strip() for name in names]
            rows = [getattr(row, "values", row) for row in mark.args[1]]
            rows = [row if len(names) > 1 or hasattr(mark.args[1][0], "values") else (row,) for row in rows]
            calls = [{**call, **dict(zip(names, row, strict=True))} for call in calls for row in rows]
    for call in calls:
        test(**call)


_GUARD = "__klear_compare__"


class _Guarded(ast.NodeTransformer):
    """Rewrites `a == b` and `a != b` of the test code, so that a value can't pass by bringing its own idea of
    equality.
    """

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) != 1 or not isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
            return node
        want_equal = ast.Constant(isinstance(node.ops[0], ast.Eq))
        call = ast.Call(ast.Name(_GUARD, ast.Load()), [node.left, node.comparators[0], want_equal], [])
        return ast.copy_location(call, node)


def _guarded_compare(left: Any, right: Any, want_equal: bool) -> Any:
    atoms = type(left) in _ATOMS and type(right) in _ATOMS
    if not atoms and _own_classes(left) != _own_classes(right):
        raise AssertionError(
            "a value of the solution's own class, with its own __eq__, is compared with something else"
        )
    return left == right if want_equal else left != right


_ATOMS = frozenset({int, str, float, bool, bytes, type(None)})


def _own_classes(value: Any) -> set[type]:
    """The solution's classes with an `__eq__` of their own, in a value or in the standard containers that it is made
    of.
    """
    found: set[type] = set()
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind in _ATOMS or id(item) in seen:
            continue
        seen.add(id(item))
        if any("__eq__" in vars(base) and vars(base).get("__module__") == "solution" for base in kind.__mro__):
            found.add(kind)
        elif kind is dict:
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif kind in (list, tuple, set, frozenset):
            waiting.extend(item)
    return found
