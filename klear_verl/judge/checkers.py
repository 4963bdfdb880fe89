# SPDX-License-Identifier: Apache-2.0
"""When an output counts as the expected one. CRLF, and white space at the end of a line or of the output, never decide.

Inputs are plain values only; no code of a solution runs here. What it costs is linear in the output, and what it
builds is bounded by the expected output, however large and whatever the actual one is.
"""

from __future__ import annotations

import io
import json
import math
from decimal import Decimal, InvalidOperation
from typing import Any

from klear_verl.judge.problem import Comparison

ABSOLUTE_TOLERANCE = 1e-6
RELATIVE_TOLERANCE = 1e-6

_LONGEST_KEY_BITS = 14_000  # Python refuses to write integers of more than 4300 digits


def outputs_match(actual: str, expected: str, rule: Comparison) -> bool:
    """Compares standard outputs.

    Rules:
        lines: LiveCodeBench's. Both are stripped, whole and per line; equal number of lines; lines are equal, or split
            at white space into numbers that are equal exactly (1.0 is 1; Python's Decimal says what a number is).
        tokens: equal sequences of tokens, wherever the lines break.
        exact: equal but for line ends and trailing white space.
        float: as tokens, but two finite numbers may differ by 1e-6, absolutely or relatively.
    """
    if actual == expected:
        matches = True
    elif rule == "lines":
        matches = _lines_match(actual.strip(), expected.strip())
    elif rule == "exact":
        matches = _right_stripped_lines_match(actual.rstrip(), expected.rstrip())
    else:
        theirs = expected.split()
        mine = _tokens(actual, len(theirs))
        same = _close if rule == "float" else str.__eq__
        matches = len(mine) == len(theirs) and all(map(same, mine, theirs))
    return matches


def _tokens(text: str, count: int) -> list[str]:
    """The tokens of `text` if there are `count` of them; otherwise a list of another length, no longer than needed."""
    return text.split(None, count)


def _lines(text: str) -> io.StringIO:
    # An iterator, for outputs of megabytes. Not splitlines: it also breaks at form feeds and Unicode separators.
    return io.StringIO(text, newline="\n")


def _as_many_lines(actual: str, expected: str) -> bool:
    # No text at all is one empty line, which an iterator does not show.
    return bool(actual) and bool(expected) and actual.count("\n") == expected.count("\n")


def _lines_match(actual: str, expected: str) -> bool:
    if actual == expected:
        return True
    return _as_many_lines(actual, expected) and all(map(_line_matches, _lines(actual), _lines(expected)))


def _line_matches(actual: str, expected: str) -> bool:
    if actual == expected or actual.strip() == expected.strip():
        return True
    theirs = expected.split()
    mine = _tokens(actual, len(theirs))
    return len(mine) == len(theirs) and all(map(_same_number, mine, theirs))


def _same_number(actual: str, expected: str) -> bool:
    try:
        mine, theirs = Decimal(actual), Decimal(expected)
    except InvalidOperation:
        return False
    # A signalling NaN raises when compared, and no NaN equals anything.
    return not mine.is_nan() and not theirs.is_nan() and mine == theirs


def _right_stripped_lines_match(actual: str, expected: str) -> bool:
    if actual == expected:
        return True
    if not _as_many_lines(actual, expected):
        return False
    return all(mine.rstrip() == theirs.rstrip() for mine, theirs in zip(_lines(actual), _lines(expected), strict=True))


def _close(actual: str, expected: str) -> bool:
    if actual == expected:
        return True
    try:
        mine, theirs = float(actual), float(expected)
    except ValueError:
        return False
    return math.isfinite(mine) and math.isclose(mine, theirs, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)


def values_match(actual: Any, expected: Any) -> bool:
    """Compares results of calls, as LiveCodeBench does after a trip through JSON.

    Python's `==` on plain values, so 1 is 1.0 and True, and NaN is nothing; a tuple is a list, at any depth; a dict's
    keys are the texts that JSON makes of them, so {1: 2} is {"1": 2}. Values nested too deeply to be compared do not
    match.
    """
    try:
        return bool(actual == expected) or _same_value(actual, expected)
    except RecursionError:
        return False


def _same_value(actual: Any, expected: Any) -> bool:
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(actual, (list, tuple))
            and len(actual) == len(expected)
            and all(map(_same_value, actual, expected))
        )
    if isinstance(expected, dict):
        if not isinstance(actual, dict) or len(actual) != len(expected):
            return False
        mine = {_key(key): value for key, value in actual.items()}
        return all((name := _key(key)) in mine and _same_value(mine[name], value) for key, value in expected.items())
    return bool(actual == expected)


def _key(key: Any) -> Any:
    """The text that JSON writes for a key. A key that JSON can't write stays as it is, and so equals no text."""
    too_long = isinstance(key, int) and key.bit_length() > _LONGEST_KEY_BITS
    return json.dumps(key) if isinstance(key, (int, float, type(None))) and not too_long else key
