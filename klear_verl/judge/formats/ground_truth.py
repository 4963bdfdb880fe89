# SPDX-License-Identifier: Apache-2.0
"""From one row's ground truth to a `Problem`: which kind it is, and what all kinds have in common; and its id."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any, get_args

from klear_verl.errors import DataError
from klear_verl.judge.formats.asserts import functional_tests, humaneval_tests, mbpp_tests, pytest_tests
from klear_verl.judge.formats.checks import REMEDY, as_name, as_positive, parse_json, type_name
from klear_verl.judge.formats.livecodebench import livecodebench_tests
from klear_verl.judge.formats.pairs import pair_tests, read_list_file
from klear_verl.judge.problem import Comparison, Problem, Test

_KINDS = {
    "inputs and outputs": ("inputs", "outputs"),
    "inputs_file and outputs_file": ("inputs_file", "outputs_file"),
    "functional": ("functional",),
    "pytest": ("pytest",),
    "public_test_cases or private_test_cases": ("public_test_cases", "private_test_cases"),
    "test": ("test",),
    "test_list": ("test_list", "challenge_test_list"),
}
"""The kinds as messages name them, and the keys that show them."""


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
    truth = parse_json(ground_truth, f"{where}: the ground truth") if isinstance(ground_truth, str) else ground_truth
    if not isinstance(truth, dict):
        raise DataError(f"{where}: the ground truth is {type_name(truth)}, not an object with tests", REMEDY)
    kind = _kind(truth, where)
    tests, entry_point = _tests(truth, kind, extra_info or {}, where)
    if not tests:
        raise DataError(f"{where}: no tests in {kind}", REMEDY)
    return Problem(
        id=problem_id,
        tests=tuple(tests),
        entry_point=entry_point,
        comparison=_comparison(truth.get("comparison"), where),
        time_limit_s=as_positive(truth.get("timeout"), (int, float), f"{where}: timeout"),
        max_tests=as_positive(truth.get("max_test_cases"), (int,), f"{where}: max_test_cases"),
    )


def _kind(truth: dict[str, Any], where: str) -> str:
    present = [kind for kind, keys in _KINDS.items() if any(truth.get(key) is not None for key in keys)]
    if len(present) != 1:
        found = ", and ".join(present) if present else f"keys {sorted(map(str, truth))!r:.200}"
        raise DataError(f"{where}: exactly one of {'; '.join(_KINDS)} must be there; found {found}", REMEDY)
    return present[0]


def _tests(truth: dict[str, Any], kind: str, extra_info: dict[str, Any], where: str) -> tuple[list[Test], str | None]:
    if kind == "functional":
        return functional_tests(truth["functional"], where), None
    if kind == "pytest":
        return pytest_tests(truth["pytest"], where), None
    if kind == "test":
        return humaneval_tests(truth, where), None
    if kind == "test_list":
        return mbpp_tests(truth, where), None
    if kind == "public_test_cases or private_test_cases":
        return livecodebench_tests(truth, where)
    missing = [key for key in _KINDS[kind] if truth.get(key) is None]
    if missing:
        raise DataError(f"{where}: {', '.join(missing)} is missing", REMEDY)
    name = truth.get("fn_name") or extra_info.get("fn_name") or None
    entry_point = None if name is None else as_name(name, f"{where}: fn_name")
    inputs, outputs = (
        read_list_file(truth[key], f"{where}: {key}") if key.endswith("_file") else truth[key] for key in _KINDS[kind]
    )
    return pair_tests(inputs, outputs, entry_point, where), entry_point


def _comparison(value: Any, where: str) -> Comparison:
    if value is None:
        return "lines"
    for rule in get_args(Comparison):
        if value == rule:
            return rule
    raise DataError(f"{where}: comparison is {value!r:.80}, none of {', '.join(get_args(Comparison))}", REMEDY)


def content_id(ground_truth: str | dict[str, Any]) -> str:
    """An id made of the content: equal ground truths have equal ids, as JSON text or as dict.

    Raises:
        DataError: a dict that JSON can't hold.
    """
    if isinstance(ground_truth, str):
        # Text that is not JSON is its own content here; `problem_from_ground_truth` says what is wrong with it.
        with contextlib.suppress(ValueError, RecursionError):
            ground_truth = json.loads(ground_truth)
    try:
        canonical = json.dumps(ground_truth, sort_keys=True, separators=(",", ":"), default=_array_as_list)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"ground truth: not JSON: {error}", REMEDY) from error
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:32]


def _array_as_list(value: Any) -> Any:
    """Arrays that a Parquet reader leaves in a row, as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value {type_name(value)}")
