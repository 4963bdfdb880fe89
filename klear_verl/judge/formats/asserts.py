# SPDX-License-Identifier: Apache-2.0
"""Tests that are code: asserts, pytest modules, HumanEval and MBPP records.

Test code is parsed here and never run. Code that can't fail is refused, since every solution would pass it.
"""

from __future__ import annotations

import ast
from typing import Any

from klear_verl.errors import DataError
from klear_verl.judge.formats.checks import REMEDY, as_name, as_texts, parse_python, syntax_tree, type_name
from klear_verl.judge.problem import AssertTest, PytestTest, Test

_CAN_FAIL = (ast.Assert, ast.Raise, ast.Call)


def functional_tests(value: Any, where: str) -> list[Test]:
    """One test per string."""
    return [
        AssertTest(code=_failing_code(code, f"{where}: functional[{index}]"))
        for index, code in enumerate(as_texts(value, f"{where}: functional"))
    ]


def pytest_tests(value: Any, where: str) -> list[Test]:
    """The module as one test."""
    place = f"{where}: pytest"
    if not isinstance(value, str):
        raise DataError(f"{place} is {type_name(value)}, not a string", REMEDY)
    if not any(_is_collected(node) for node in parse_python(value, place).body):
        raise DataError(f"{place} has no test_* function and no Test* class with one", REMEDY)
    return [PytestTest(code=value)]


def humaneval_tests(record: dict[str, Any], where: str) -> list[Test]:
    """`check(entry_point)` as one test.

    What the prompt defines beside the entry point (imports, helpers that `check` uses) comes before it, so that the
    tests rest on the published helpers and not on the solution's.
    """
    entry_point = as_name(record.get("entry_point"), f"{where}: entry_point")
    test = record["test"]
    if not isinstance(test, str):
        raise DataError(f"{where}: test is {type_name(test)}, not a string", REMEDY)
    body = parse_python(test, f"{where}: test").body
    if not any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in body):
        raise DataError(f"{where}: test defines no function check(candidate)", REMEDY)
    helpers = _helpers(record.get("prompt"), entry_point)
    return [AssertTest(code=f"{helpers}{test}\n\ncheck({entry_point})\n")]


def mbpp_tests(record: dict[str, Any], where: str) -> list[Test]:
    """One test per assert, the challenge tests included, each after the set-up code (sanitized MBPP: the imports)."""
    setup = [line for key in ("test_setup_code", "test_imports") for line in _column(record, key, where) if line]
    setup_code = "".join(f"{line}\n" for line in setup)
    parse_python(setup_code, f"{where}: the set-up code")
    return [
        AssertTest(code=setup_code + _failing_code(code, f"{where}: {key}[{index}]"))
        for key in ("test_list", "challenge_test_list")
        for index, code in enumerate(_column(record, key, where))
    ]


def _column(record: dict[str, Any], key: str, where: str) -> list[str]:
    return [] if record.get(key) is None else as_texts(record[key], f"{where}: {key}")


def _failing_code(code: str, where: str) -> str:
    if not any(isinstance(node, _CAN_FAIL) for node in ast.walk(parse_python(code, where))):
        raise DataError(f"{where} has no assert, so it would pass every solution", REMEDY)
    return code


def _is_collected(node: ast.stmt) -> bool:
    if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
        return any(isinstance(part, ast.FunctionDef) and part.name.startswith("test") for part in node.body)
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test")


def _helpers(prompt: Any, entry_point: str) -> str:
    try:
        nodes = syntax_tree(prompt).body if isinstance(prompt, str) else []
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""  # instructions in words, which define nothing
    wanted = [node for node in nodes if getattr(node, "name", "") != entry_point and not isinstance(node, ast.Expr)]
    return "".join(f"{ast.unparse(node)}\n" for node in wanted)
