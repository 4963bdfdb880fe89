# SPDX-License-Identifier: Apache-2.0
"""Ids for rows that have none."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

from klear_verl.errors import DataError
from klear_verl.judge.formats.checks import REMEDY, type_name


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
        canonical = json.dumps(ground_truth, sort_keys=True, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"ground truth: not JSON: {error}", REMEDY) from error
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:32]


def _plain(value: Any) -> Any:
    """Arrays that a Parquet reader leaves in a row, as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value {type_name(value)}")
