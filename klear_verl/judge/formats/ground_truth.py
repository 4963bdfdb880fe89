# SPDX-License-Identifier: Apache-2.0
"""From one row's ground truth to a `Problem`: which kind it is, and what all kinds have in common; and its id."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any, NamedTuple, get_args

from klear_verl.errors import DataError
from klear_verl.judge.formats.asserts import functional_tests, humaneval_tests, mbpp_tests, pytest_tests
from klear_verl.judge.formats.checks import REMEDY, as_name, as_positive, parse_json, type_name
from klear_verl.judge.formats.pairs import livecodebench_tests, pair_tests, read_list_file
from klear_verl.judge.problem import Comparison, Problem, Test
from klear_verl.utils.config import did_you_mean


class _Kind(NamedTuple):
    """The keys that show a kind of ground truth, and the others that it may have."""

    tests: tuple[str, ...]
    others: tuple[str, ...] = ()


_KINDS = {
    "inputs and outputs": _Kind(("inputs", "outputs"), ("fn_name",)),
    "inputs_file and outputs_file": _Kind(("inputs_file", "outputs_file"), ("fn_name",)),
    "functional": _Kind(("functional",)),
    "pytest": _Kind(("pytest",)),
    "public_test_cases or private_test_cases": _Kind(
        ("public_test_cases", "private_test_cases"),
        (
            "metadata", "question_title", "question_content", "platform", "question_id", "contest_id", "contest_date",
            "starter_code", "difficulty",
        ),
    ),
    "test": _Kind(("test",), ("entry_point", "prompt", "task_id", "canonical_solution")),
    "test_list": _Kind(
        ("test_list", "challenge_test_list"),
        ("test_setup_code", "test_imports", "task_id", "text", "prompt", "code", "source_file"),
    ),
}  # fmt: skip
"""The kinds, as messages name them. Of published records also the keys that say nothing about the tests."""

_OF_ALL_KINDS = ("timeout", "max_test_cases", "comparison")
_KEYS = {*_OF_ALL_KINDS, *(key for kind in _KINDS.values() for key in (*kind.tests, *kind.others))}


def problem_from_ground_truth(
    ground_truth: str | dict[str, Any], *, problem_id: str, extra_info: dict[str, Any] | None = None
) -> Problem:
    """Reads one row's ground truth.

    Args:
        problem_id: decides which tests are drawn; the same for every response to the same prompt (see `content_id`).
        extra_info: the row's; its "fn_name" is used where the ground truth has none.

    Raises:
        DataError: an unknown key, no tests, unequal numbers of inputs and outputs, wrong types, unreadable files: names
        the problem and the place.
    """
    where = f"problem {problem_id}"
    truth = parse_json(ground_truth, f"{where}: the ground truth") if isinstance(ground_truth, str) else ground_truth
    if not isinstance(truth, dict):
        raise DataError(f"{where}: the ground truth is {type_name(truth)}, not an object with tests", REMEDY)
    # A reader of columns gives every row the keys of all rows, empty where a row has none.
    truth = {key: value for key, value in truth.items() if value is not None or key not in _KEYS}
    kind = _kind(truth, where)
    _check_keys(truth, kind, where)
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
    present = [name for name, kind in _KINDS.items() if any(key in truth for key in kind.tests)]
    if len(present) != 1:
        found = ", and ".join(present) if present else f"keys {sorted(map(str, truth))!r:.200}"
        raise DataError(f"{where}: exactly one of {'; '.join(_KINDS)} must be there; found {found}", REMEDY)
    return present[0]


def _check_keys(truth: dict[str, Any], kind: str, where: str) -> None:
    """No key is ignored: it may be the one that says how the row is to be judged."""
    known = (*_KINDS[kind].tests, *_KINDS[kind].others, *_OF_ALL_KINDS)
    for key in truth:
        if key not in known:
            unknown = f"{where}: unknown key {key!r:.80} in a ground truth with {kind}; {did_you_mean(str(key), known)}"
            raise DataError(unknown, f"{REMEDY}; what else a row knows belongs into extra_info")


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
    missing = [key for key in _KINDS[kind].tests if key not in truth]
    if missing:
        raise DataError(f"{where}: {', '.join(missing)} is missing", REMEDY)
    name = truth.get("fn_name") or extra_info.get("fn_name") or None
    entry_point = None if name is None else as_name(name, f"{where}: fn_name")
    inputs, outputs = (
        read_list_file(truth[key], f"{where}: {key}") if key.endswith("_file") else truth[key]
        for key in _KINDS[kind].tests
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
