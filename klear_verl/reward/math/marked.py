# SPDX-License-Identifier: Apache-2.0
"""Answers that a mark gives away and that hold no others: a base, a clock, a sum of measures, a choice, a ratio."""

from __future__ import annotations

import re

from flint import fmpq

from klear_verl.reward.math import phrases
from klear_verl.reward.math.answers import Answer, Based, Choice, Ratio, Scalar
from klear_verl.reward.math.brackets import split_top
from klear_verl.reward.math.syntax import Unreadable, parse

_BASED = re.compile(
    r"\(?(?:\\text\{\s*)?(-?[0-9][0-9A-Za-z]*(?:\.\d+)?)\s*\}?\)?\s*_\s*\{?\s*(?:\\text\{)?\s*(\d{1,2})\s*\}{0,2}"
)
_CLOCK = re.compile(
    r"(\d{1,2})(?:\s*:\s*(\d{2}))?(?:\s*(?:\\text\{)?\s*(?:([aApP])\.?\s*[mM]\.?|noon|midnight)\s*\}?)?"
)
_CHOICE = re.compile(
    r"(?:\\text\{)?\s*(?:(?:the\s+)?(?:correct\s+)?(?:option|choice|answer)\s*(?:is)?\s*)?(?:\\text\{)?\s*(\()?\s*([A-J])\s*(\))?\s*\}?\s*"
    r"([.:)]?)\s*(.*)",
    re.DOTALL | re.IGNORECASE,
)


def based(text: str) -> Answer | None:
    """`204_5`, `(31)_{8}`."""
    match = _BASED.fullmatch(text)
    if match is None or not 2 <= int(match.group(2)) <= 36:
        return None
    return Based(text, match.group(1).upper(), int(match.group(2)))


def clock(text: str) -> Answer | None:
    """`8:34 PM`, `4 p.m.`, `20:34`."""
    match = _CLOCK.fullmatch(text)
    if match is None or match[0].isdigit() or int(match[2] or 0) > 59 or int(match[1]) > 24:
        return None
    hours, minutes, half = int(match[1]), int(match[2] or 0), (match[3] or "").lower()
    half = "p" if "noon" in text else "a" if "midnight" in text else half
    trees = (("num", fmpq(hours), None), ("num", fmpq(minutes), None))
    hours = hours % 12 + (12 if half == "p" else 0) if half else hours
    return Ratio(text, trees, hours * 60 + minutes, bool(half))


def measures(text: str) -> Answer | None:
    """`2 h 30 min`."""
    found = phrases.measures(text)
    if found is None:
        return None
    total, unit = found
    return Scalar(text, ("num", fmpq(total.numerator, total.denominator), None), unit=unit)


def choice(text: str) -> Answer | None:
    """`(B)`, `B. 12`, `\\text{Option B}`."""
    match = _CHOICE.fullmatch(text)
    if match is None or not match.group(2).isupper():
        return None
    opened, letter, closed, mark, rest = match.groups()
    rest = rest.strip().rstrip("}").strip()
    if not rest:
        return Choice(text, letter)
    if (
        (opened and closed)
        or (mark in (".", ":", ")") and not opened)
        or re.match(r"\\text\{\s*\(?[A-J]\)?\s*\}\s*\S", text)
    ):
        if re.match(r"[-+*/^_=<>]|\\cdot|\\times", rest):
            return None
        return Choice(text, letter, rest)
    return None


def ratio(text: str) -> Answer | None:
    """`2 : 3 : 4`."""
    if ":" not in text:
        return None
    parts, separators = split_top(text, re.compile(":"))
    if not separators:
        return None
    try:
        return Ratio(text, tuple(parse(part) for part in parts))
    except Unreadable:
        return None
