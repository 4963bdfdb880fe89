# SPDX-License-Identifier: Apache-2.0
"""What a test puts into the processes that run it. Expected outputs are in none of it; the code of asserts goes to the
tester alone (`zygote/tester.py`).
"""

from __future__ import annotations

import ast
import importlib.util
import json

from klear_verl.errors import DataError
from klear_verl.judge.formats.checks import syntax_tree
from klear_verl.judge.problem import AssertTest, CallTest, Problem, PytestTest, StdioTest, Test
from klear_verl.judge.sandbox.session import RunInput


def inputs_of(problem: Problem, test: Test) -> RunInput:
    """The inputs of one run.

    Raises:
        DataError: a call without an entry point, or arguments that are no JSON.
    """
    if isinstance(test, StdioTest):
        given = RunInput(stdin=test.input.encode("utf-8", "surrogatepass"))
    elif isinstance(test, CallTest):
        given = RunInput(arguments=_arguments_of(problem, test))
    else:
        kind = b"p" if isinstance(test, PytestTest) else b"a"
        given = RunInput(test=kind + test.code.encode("utf-8", "surrogatepass"))
    return given


def _arguments_of(problem: Problem, test: CallTest) -> bytes:
    if problem.entry_point is None:
        raise DataError(f"problem {problem.id}: a call test needs an entry_point", "add fn_name to the ground truth")
    try:
        return json.dumps(test.args).encode("ascii")
    except TypeError as error:
        raise DataError(
            f"problem {problem.id}: arguments that are not JSON values: {error}", "correct the row"
        ) from error


def missing_module(test: Test) -> str:
    """Why this test can't run here: it needs pytest. A missing package of ours must not count against a solution."""
    needs_pytest = (
        isinstance(test, (AssertTest, PytestTest))
        and "pytest" in test.code
        and importlib.util.find_spec("pytest") is None
        and "pytest" in _imports(test.code)
    )
    return "the test imports pytest, which is not installed (pip install pytest)" if needs_pytest else ""


def _imports(code: str) -> set[str]:
    try:
        nodes = list(ast.walk(syntax_tree(code)))
    except SyntaxError:
        nodes = []  # running it will say so
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return modules | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
