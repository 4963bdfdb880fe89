# SPDX-License-Identifier: Apache-2.0
"""What a test puts into the processes that run it. Expected outputs are in none of it; the code of asserts goes to the
tester alone (`zygote/tester.py`).
"""

from __future__ import annotations

import ast
import importlib.util
import json
from dataclasses import dataclass

from klear_verl.errors import DataError
from klear_verl.judge.problem import AssertTest, CallTest, Problem, PytestTest, StdioTest, Test
from klear_verl.judge.syntax import syntax_tree


@dataclass(frozen=True)
class Inputs:
    """Standard input of a script; or arguments, JSON; or the test code, with its kind as first byte."""

    stdin: bytes = b""
    arguments: bytes | None = None
    test: bytes | None = None


def inputs_of(problem: Problem, test: Test) -> Inputs:
    """The inputs of one run.

    Raises:
        DataError: a call without an entry point, or arguments that are no JSON.
    """
    if isinstance(test, StdioTest):
        return Inputs(stdin=test.input.encode("utf-8", "surrogatepass"))
    if isinstance(test, CallTest):
        if problem.entry_point is None:
            raise DataError(
                f"problem {problem.id}: a call test needs an entry_point", "add fn_name to the ground truth"
            )
        try:
            return Inputs(arguments=json.dumps(test.args).encode("ascii"))
        except TypeError as error:
            raise DataError(
                f"problem {problem.id}: arguments that are not JSON values: {error}", "correct the row"
            ) from error
    kind = b"p" if isinstance(test, PytestTest) else b"a"
    return Inputs(test=kind + test.code.encode("utf-8", "surrogatepass"))


def missing_module(test: Test) -> str:
    """Why this test can't run here: it needs pytest. A missing package of ours must not count against a solution."""
    if not isinstance(test, (AssertTest, PytestTest)) or "pytest" not in test.code:
        return ""
    if importlib.util.find_spec("pytest") is not None:
        return ""
    try:
        nodes = list(ast.walk(syntax_tree(test.code)))
    except SyntaxError:
        return ""
    wanted = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    wanted |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return "the test imports pytest, which is not installed (pip install pytest)" if "pytest" in wanted else ""
