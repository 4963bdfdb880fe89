# SPDX-License-Identifier: Apache-2.0
"""What a test does beyond plain asserts: test functions and classes in pytest's manner, without pytest."""

from __future__ import annotations

import ast
import sys
import types
from typing import Any

FILE = "test.py"

_ALIASES = {"np": "numpy"}
_LIBRARY = {*sys.stdlib_module_names, *_ALIASES.values()}


def library_modules(source: str) -> dict[str, str]:
    """The names that the test uses as Python's modules (`math.isclose`) without importing them: name -> module.

    Taken from the solution, which may have imported them, they might be something else.
    """
    try:
        nodes = list(ast.walk(ast.parse(source, FILE)))
    except SyntaxError:
        return {}  # executing it will say so
    owners = [node.value for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    by_themselves = {node.id for node in nodes if isinstance(node, ast.Name)} - {owner.id for owner in owners}
    names = {owner.id for owner in owners} - by_themselves
    return {name: module for name in names if (module := _ALIASES.get(name, name)) in _LIBRARY}


def run(source: str, namespace: dict[str, Any], solution: types.ModuleType, collect: bool) -> None:
    """Executes `source`; with `collect`, every `test*` function and the methods of every `Test*` class too.

    Raises:
        BaseException: whatever the test raises; AssertionError if it fails.
    """
    exec(compile(source, FILE, "exec", dont_inherit=True), namespace)
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
