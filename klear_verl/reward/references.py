# SPDX-License-Identifier: Apache-2.0
"""What a row's reference (its ground truth) may be, and whether it can be read at all.

One rule for training, `klear score`, evaluation and the checks before a start: what one of them refuses, all refuse.
`math_reference` and `code_reference` say what the form may be, and cost little. `ReferenceCheck` also has each math
reference read by a grader process: an unreadable one would leave every response to its row ungraded.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from numbers import Integral, Real
from typing import Any

from klear_verl.errors import DataError
from klear_verl.judge import Problem, content_id, problem_from_ground_truth
from klear_verl.reward.config import RewardConfig
from klear_verl.reward.math.pool import MathPool

_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,100}(\.[0-9]{1,100})?")
"""What needs no grader to be known as readable: most references of most data sets."""

_SAME_READING = re.compile(
    r"""(?: [0-9]{1,18} (?![0-9])
      | (?<=[0-9A-Za-z]) \^ (?: [0-9A-Za-z] | \{ -? [0-9]{1,2} \} ) (?!\^)
      | \\ (?: [dt]?frac | sqrt | pi | infty | left | right | cup | cap | boxed | text | [%{},;!\ ] )
      | [-+=,.:;<>/()\[\]{}$%|\ A-Za-z] )*""",
    re.VERBOSE,
)
"""References in which another number of as many digits makes no difference to whether they can be read, and none that
counts to how long that takes: no towers of powers, factorials, sums or logarithms."""

_POWER_OR_NUMBER = re.compile(r"\^(?:[0-9]|\{-?[0-9]+\})|[0-9]+")

_ANY_ANSWER = "\\boxed{0}"
"""Compared with each reference, to see whether an answer can be: 9^{9^{9^9}} is read at once, and its comparison with
anything runs into the time limit."""


def math_reference(truth: Any, where: str) -> str:
    """The reference of a math row as text: a non-empty string, or a finite number.

    Args:
        truth: the row's `reward_model.ground_truth`.
        where: the row, for the message.

    Raises:
        DataError: it is anything else, `true` and `false` included.
    """
    if isinstance(truth, str) and truth.strip():
        return truth
    if isinstance(truth, Integral) and not isinstance(truth, bool):
        return str(int(truth))
    if isinstance(truth, Real) and not isinstance(truth, bool) and math.isfinite(truth):
        return repr(float(truth))
    raise DataError(
        f"{where}: the ground truth of a math row must be a non-empty string or a number, got {repr(truth)[:200]}",
        'put the reference answer there, as in "4" or "\\\\frac{1}{2}", or correct data_source',
    )


def code_reference(truth: Any, extra_info: Mapping[str, Any] | None, where: str) -> Problem:
    """The problem of a code row: an object with tests, or its JSON text (docs/concepts/judge.md lists the formats).

    Its id is a digest of the tests, so that every response of a group meets the same subset of them.

    Args:
        truth: the row's `reward_model.ground_truth`.
        extra_info: the row's; its `fn_name` counts where the ground truth has none.
        where: the row, for the message.

    Raises:
        DataError: the ground truth is in none of the formats that the judge reads.
    """
    fn_name = (extra_info or {}).get("fn_name")
    if not isinstance(truth, (str, Mapping)):
        raise DataError(
            f"{where}: the ground truth of a code row must be a JSON object or its text, got {type(truth).__name__}",
            "docs/concepts/judge.md lists the accepted ground truths; or correct data_source",
        )
    if fn_name is not None and not isinstance(fn_name, str):
        raise DataError(f"{where}: extra_info.fn_name is {type(fn_name).__name__}, not a name", "correct the row")
    try:
        return _read_problem(truth if isinstance(truth, str) else json.dumps(_plain(truth)), fn_name)
    except DataError as error:
        raise DataError(f"{where}: ground_truth: {error.what}", error.remedy) from error


class ReferenceCheck:
    """Checks references as scoring would read them; thread-safe. Close it, or use it as a context manager.

    Its math grader processes (`math.workers`) start with the first reference that is more than a plain number.
    """

    def __init__(self, config: RewardConfig):
        self._config = config
        limits = config.math
        self._pool = MathPool(limits.workers, limits.cpu_s, limits.wall_s, limits.memory_mib)
        self._readable: set[str] = set()

    def check(self, data_source: str, truth: Any, extra_info: Mapping[str, Any] | None, where: str) -> None:
        """Checks that responses to a row can be graded.

        Args:
            data_source: the row's, which says whether it is math or code.
            truth: the row's `reward_model.ground_truth`.
            extra_info: the row's.
            where: file and row, for the message.

        Raises:
            DataError: an unknown data_source, a reference of the wrong form, or one that has no reading.
            EnvironmentProblem: a math grader cannot be started.
        """
        try:
            task = self._config.task_of(data_source)
        except DataError as error:
            raise DataError(f"{where}: {error.what}", error.remedy) from error
        if task == "code":
            code_reference(truth, extra_info, where)
            return
        gold = math_reference(truth, where)
        shape = reference_shape(gold)
        if shape in self._readable or _PLAIN_NUMBER.fullmatch(gold):
            return
        grade = self._pool.grade(gold, _ANY_ANSWER)
        if grade.outcome not in ("correct", "wrong"):
            raise DataError(
                f"{where}: the ground truth {gold[:200]!r} can't be graded against: {grade.detail}",
                'write it as mathematics, as in "4", "\\\\frac{1}{2}" or "\\\\boxed{(1,2)}", or drop the row',
            )
        self._readable.add(shape)

    def close(self) -> None:
        """Ends the grader processes."""
        self._pool.close()

    def __enter__(self) -> ReferenceCheck:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def reference_shape(gold: str) -> str:
    """One text for all the references that differ in numbers alone, and can be read if this one can.

    Of a hundred thousand references, a few thousand are then read. Where numbers may matter it is the reference itself.
    """
    if not _SAME_READING.fullmatch(gold):
        return gold
    return _POWER_OR_NUMBER.sub(lambda found: found[0] if found[0][0] in "^0" else "1" * len(found[0]), gold)


@lru_cache(maxsize=64)
def _read_problem(text: str, fn_name: str | None) -> Problem:
    # The responses of a group arrive together, and the tests of one problem can be megabytes of JSON.
    identity = content_id(text)
    try:
        return problem_from_ground_truth(text, problem_id=identity, extra_info={"fn_name": fn_name})
    except DataError as error:
        # A digest names nothing to a person; the caller names the row.
        raise DataError(error.what.removeprefix(f"problem {identity}: "), error.remedy) from error


def _plain(value: Any) -> Any:
    """numpy values, as Parquet rows carry them, as plain Python."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise DataError(f"a value of type {type(value).__name__} is not JSON", "correct the row")
