# SPDX-License-Identifier: Apache-2.0
"""When an output counts as the expected one. CRLF, and white space at the end of a line or of the output, never decide.

Inputs are plain values only; no code of a solution runs here.
"""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from typing import Any

from klear_verl.judge.problem import Comparison

ABSOLUTE_TOLERANCE = 1e-6
RELATIVE_TOLERANCE = 1e-6


def outputs_match(actual: str, expected: str, rule: Comparison) -> bool:
    """Compares standard outputs.

    Rules:
        lines: LiveCodeBench's. Both are stripped, whole and per line; equal number of lines; lines are equal, or split
        at white space into
            numbers that are equal exactly (1.0 is 1).
        tokens: equal sequences of tokens, wherever the lines break.
        exact: equal but for line ends and trailing white space.
        float: as tokens, but two finite numbers may differ by 1e-6, absolutely or relatively.
    """
    if rule == "lines":
        return _lines_match(_lines(actual.strip()), _lines(expected.strip()))
    if rule == "exact":
        return _right_stripped(actual) == _right_stripped(expected)
    mine, theirs = actual.split(), expected.split()
    if rule == "tokens":
        return mine == theirs
    return len(mine) == len(theirs) and all(map(_close, mine, theirs))


def _lines(text: str) -> list[str]:
    # Not splitlines: it also breaks at form feeds and Unicode separators. Every line is stripped below, so CRLF is no
    # matter.
    return text.split("\n")


def _right_stripped(text: str) -> list[str]:
    return [line.rstrip() for line in _lines(text.rstrip())]


def _lines_match(actual: list[str], expected: list[str]) -> bool:
    if len(actual) != len(expected):
        return False
    for mine, theirs in zip(actual, expected, strict=True):
        if mine.strip() == theirs.strip():
            continue
        mine_numbers, their_numbers = _numbers(mine), _numbers(theirs)
        if mine_numbers is None or their_numbers is None or mine_numbers != their_numbers:
            return False
    return True


def _numbers(line: str) -> list[Decimal] | None:
    try:
        numbers = [Decimal(token) for token in line.split()]
    except InvalidOperation:
        return None
    # A signalling NaN raises when compared, and no NaN equals anything.
    return None if any(number.is_nan() for number in numbers) else numbers


def _close(actual: str, expected: str) -> bool:
    if actual == expected:
        return True
    try:
        mine, theirs = float(actual), float(expected)
    except ValueError:
        return False
    return math.isfinite(mine) and math.isclose(mine, theirs, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)


def values_match(actual: Any, expected: Any) -> bool:
    """Compares results of calls: Python's `==` on plain values, tuple as list, and dict keys as JSON writes them."""
    try:
        return bool(_as_json(actual) == _as_json(expected))
    except RecursionError:
        return False


def _as_json(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        return {_key(key): _as_json(item) for key, item in value.items()}
    return value


def _key(key: Any) -> str:
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return str(key)
