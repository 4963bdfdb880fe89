# SPDX-License-Identifier: Apache-2.0
"""Ground truths of public data sets, read into `Problem`: every test becomes data here, and what is wrong with a row
is said here.

Read are Klear's code rows and verl's prime-code rows (apps, taco, codeforces, codecontests); HumanEval and MBPP
through "functional". A ground truth is a dict, or its JSON, with exactly one of these kinds of tests:
    {"inputs": [...], "outputs": [...]}                 standard input and output: str, or list[str] joined by newlines
    {"inputs": [...], "outputs": [...], "fn_name": …}   calls: JSON text (one argument per line), or lists of arguments
    {"functional": str | list[str]}                     asserts, run after the solution; each string is one test
    {"pytest": str}                                     a pytest module; the solution is importable as `solution`
    {"inputs_file": path, "outputs_file": path}         JSON files with the two lists
and optionally "timeout" (CPU seconds) and "max_test_cases". Other keys are not ours and are left alone.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from klear_verl.errors import DataError
from klear_verl.judge.problem import AssertTest, CallTest, Problem, PytestTest, StdioTest, Test

_KINDS = {
    "inputs": ("inputs", "outputs"),
    "functional": (),
    "pytest": (),
    "inputs_file": ("inputs_file", "outputs_file"),
}
_REMEDY = "correct the row; docs/concepts/judge.md lists the accepted ground truths"


def problem_from_ground_truth(
    ground_truth: str | dict[str, Any], *, problem_id: str, extra_info: dict[str, Any] | None = None
) -> Problem:
    """Reads one row's ground truth.

    Args:
        problem_id: decides which tests are drawn; the same for every response to the same prompt (see `content_id`).
        extra_info: the row's; its "fn_name" is used where the ground truth has none.

    Raises:
        DataError: no tests, unequal numbers of inputs and outputs, wrong types, unreadable files: names the problem
        and the place.
    """
    where = f"problem {problem_id}"
    truth = _as_dict(ground_truth, where)
    kind = _kind(truth, where)
    entry_point = truth.get("fn_name") or (extra_info or {}).get("fn_name") or None
    if entry_point is not None and not isinstance(entry_point, str):
        raise DataError(f"{where}: fn_name is {_type(entry_point)}, not a string", _REMEDY)
    tests: list[Test]
    if kind == "functional":
        tests = [AssertTest(code=code) for code in _texts(truth, "functional", where)]
    elif kind == "pytest":
        tests = [PytestTest(code=_pytest_code(truth["pytest"], where))]
    else:
        inputs, outputs = _pairs(truth, kind, where)
        if entry_point:
            tests = [
                _call_test(*pair, f"{where}: test {row}") for row, pair in enumerate(zip(inputs, outputs, strict=True))
            ]
        else:
            tests = [
                StdioTest(
                    input=_text(given, f"{where}: inputs[{row}]"), output=_text(wanted, f"{where}: outputs[{row}]")
                )
                for row, (given, wanted) in enumerate(zip(inputs, outputs, strict=True))
            ]
    if not tests:
        raise DataError(f"{where}: no tests in {kind!r}", _REMEDY)
    return Problem(
        id=problem_id,
        tests=tuple(tests),
        entry_point=entry_point,
        time_limit_s=_positive(truth, "timeout", (int, float), where),
        max_tests=_positive(truth, "max_test_cases", (int,), where),
    )


def content_id(ground_truth: str | dict[str, Any]) -> str:
    """An id made of the content, for rows without one: equal ground truths have equal ids, as JSON text or as dict."""
    if isinstance(ground_truth, str):
        # Text that is not JSON is its own content here; `problem_from_ground_truth` says what is wrong with it.
        with contextlib.suppress(ValueError, RecursionError):
            ground_truth = json.loads(ground_truth)
    canonical = json.dumps(ground_truth, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:32]


def _plain(value: Any) -> Any:
    """Arrays that a Parquet reader leaves in a row, as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise DataError(f"ground truth: a value of type {_type(value)} is not JSON", _REMEDY)


def _as_dict(ground_truth: Any, where: str) -> dict[str, Any]:
    if isinstance(ground_truth, str):
        try:
            ground_truth = json.loads(ground_truth)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: the ground truth is not JSON: {error}", _REMEDY) from error
    if not isinstance(ground_truth, dict):
        raise DataError(f"{where}: the ground truth is {_type(ground_truth)}, not an object with tests", _REMEDY)
    return ground_truth


def _kind(truth: dict[str, Any], where: str) -> str:
    present = [kind for kind, keys in _KINDS.items() if any(truth.get(key) is not None for key in (kind, *keys))]
    if len(present) != 1:
        found = " and ".join(present) if present else f"keys {sorted(map(str, truth))}"
        raise DataError(f"{where}: exactly one of {', '.join(_KINDS)} must be there; found {found}", _REMEDY)
    missing = [key for key in _KINDS[present[0]] if truth.get(key) is None]
    if missing:
        raise DataError(f"{where}: {', '.join(missing)} is missing", _REMEDY)
    return present[0]


def _pairs(truth: dict[str, Any], kind: str, where: str) -> tuple[list[Any], list[Any]]:
    columns = []
    for key in _KINDS[kind]:
        column = _read_file(truth[key], f"{where}: {key}") if kind == "inputs_file" else truth[key]
        column = column.tolist() if hasattr(column, "tolist") else column
        if not isinstance(column, (list, tuple)):
            raise DataError(f"{where}: {key} is {_type(column)}, not a list", _REMEDY)
        columns.append(list(column))
    if len(columns[0]) != len(columns[1]):
        raise DataError(f"{where}: {len(columns[0])} inputs but {len(columns[1])} outputs", _REMEDY)
    return columns[0], columns[1]


def _read_file(path: Any, where: str) -> Any:
    if not isinstance(path, str):
        raise DataError(f"{where} is {_type(path)}, not a path", _REMEDY)
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise DataError(
            f"{where}: can't read {path}: {error.strerror}", "correct the path or make the file readable"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {path} is not JSON: {error}", "correct the file") from error


def _text(value: Any, where: str) -> str:
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    raise DataError(f"{where} is {_type(value)}, not a string or a list of strings", _REMEDY)


def _texts(truth: dict[str, Any], key: str, where: str) -> list[str]:
    value = truth[key]
    value = value.tolist() if hasattr(value, "tolist") else value
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where}: {key} must be a string or a list of strings", _REMEDY)
    for index, text in enumerate(texts):
        _parse(text, f"{where}: {key}[{index}]")
    return list(texts)


def _pytest_code(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: pytest is {_type(value)}, not a string", _REMEDY)
    nodes = ast.walk(_parse(value, f"{where}: pytest"))
    if not any(isinstance(node, ast.FunctionDef) and node.name.startswith("test") for node in nodes):
        raise DataError(f"{where}: pytest has no test_* function", _REMEDY)
    return value


def _parse(code: str, where: str) -> ast.Module:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{where} is not Python: {error}", _REMEDY) from error


def _call_test(given: Any, wanted: Any, where: str) -> CallTest:
    """As verl's prime_code decodes them (reward_score/prime_code/testing_util.py)."""
    try:
        args = [json.loads(line) for line in given.split("\n") if line.strip()] if isinstance(given, str) else given
        expected = json.loads(wanted) if isinstance(wanted, str) else wanted
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}", _REMEDY) from error
    args = args.tolist() if hasattr(args, "tolist") else args
    if not isinstance(args, (list, tuple)):
        raise DataError(f"{where}: the arguments are {_type(args)}, not a list", _REMEDY)
    unwrapped = isinstance(wanted, list) and len(wanted) == 1
    alternatives = (wanted[0],) if unwrapped else ()
    return CallTest(
        args=[_int_keys(arg) for arg in args[:1]] + list(args[1:]), expected=expected, alternatives=alternatives
    )


def _int_keys(argument: Any) -> Any:
    """JSON has no int keys: where all keys are numbers they were meant as such."""
    if isinstance(argument, dict) and argument and all(key.lstrip("-").isdecimal() for key in argument):
        return {int(key): value for key, value in argument.items()}
    return argument


def _positive(truth: dict[str, Any], key: str, types: tuple[type, ...], where: str) -> Any:
    value: Any = truth.get(key)
    if value is None:
        return None
    if type(value) not in types or not 0 < value < float("inf"):
        raise DataError(f"{where}: {key} is {value!r}, not a positive number", _REMEDY)
    return value


def _type(value: Any) -> str:
    return f"of type {type(value).__name__}"
