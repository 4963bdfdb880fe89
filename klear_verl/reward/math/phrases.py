# SPDX-License-Identifier: Apache-2.0
"""Phrases that say a number, a ratio or a quantity in words, in the notation that they stand for."""

from __future__ import annotations

import re
from fractions import Fraction

from klear_verl.reward.math.units import Unit, parse_unit

_NUMBER_WORDS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen twenty
"""
_NUMBERS = _NUMBER_WORDS.split()
_POWERS = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SCALED = re.compile(rf"(.*\d)\s*(\\text\{{\s*)?({'|'.join(_POWERS)})\b\s*(.*)", re.DOTALL)
_RATIO = re.compile(
    r"(?:\\text\{\s*)?(?:ratio(?: of)?)?\s*\}?\s*(\d+(?:\.\d+)?)\s*(?:\\text\{\s*to\s*\}|to|:)\s*(\d+(?:\.\d+)?)"
)
_MEASURE = r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)"
_MEASURES = re.compile(rf"(?:{_MEASURE}\s*){{2,4}}")


def in_notation(text: str) -> str:
    """`\\text{5 cm}` is 5 cm, `five` is 5, `2 to 3` is 2 : 3; other texts are themselves."""
    upright = re.fullmatch(r"\\text\{\s*([-+\d(\\.][^{}]*)\}", text)
    if upright and re.search(r"\d", upright[1]):
        text = upright[1].strip()
    word = re.fullmatch(r"(?:\\text\{\s*)?([A-Za-z]{3,9})\s*\}?", text)
    if word and word[1].lower() in _NUMBERS:
        return str(_NUMBERS.index(word[1].lower()))
    ratio = _RATIO.fullmatch(text)
    return f"{ratio[1]}:{ratio[2]}" if ratio and ("to" in text or "ratio" in text) else text


def without_scale(text: str) -> str:
    """`2.5 \\text{ million dollars}` with the power of ten that the word says."""
    match = _SCALED.fullmatch(text)
    if match is None:
        return text
    number, upright, word, rest = match.groups()
    rest = rest.removeprefix("}") if upright and rest.startswith("}") else (upright or "") + rest
    return f"{number} \\cdot 10^{{{_POWERS[word]}}} {rest}".strip()


def measures(text: str) -> tuple[Fraction, Unit] | None:
    """`2 \\text{ hours and } 30 \\text{ minutes}` in its smallest unit; None if it is no such sum."""
    if not re.match(r"\d", text) or len(text) > 100:
        return None
    plain = re.sub(r"\\text\{|[{},]|\band\b", " ", text).strip()
    if not _MEASURES.fullmatch(plain):
        return None
    parts = [(Fraction(number), parse_unit(unit)) for number, unit in re.findall(_MEASURE, plain)]
    units = [unit for _, unit in parts if unit is not None and unit[0]]
    sizes = [size for _, size in units]
    if len(units) != len(parts) or len({kind for kind, _ in units}) != 1:
        return None
    if sizes != sorted(set(sizes), reverse=True):
        return None
    total = sum((number * size for (number, _), size in zip(parts, sizes, strict=True)), Fraction(0))
    return total / sizes[-1], units[-1]
