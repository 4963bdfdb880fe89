# SPDX-License-Identifier: Apache-2.0
"""Reads an answer as what it is: a number, a quantity, a choice, text, an equation, a list, an interval, a matrix, …

The type decides how answers are compared (`comparison.py`). What has no other reading is text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from klear_verl.reward.math.syntax import Tree
from klear_verl.reward.math.units import Unit

MAX_ITEMS = 400
MAX_NESTING = 40


@dataclass(frozen=True)
class Answer:
    """Any answer; `text` is its spelling."""

    text: str


@dataclass(frozen=True)
class Text(Answer):
    """Words, or notation that has no reading."""


@dataclass(frozen=True)
class Choice(Answer):
    """A letter of a multiple-choice question, with the text of the option where it is given."""

    letter: str
    option: str = ""


@dataclass(frozen=True)
class Scalar(Answer):
    """An expression or a number; `other` is its second reading where a division is written ambiguously."""

    tree: Tree
    percent: bool = False
    degrees: bool = False
    unit: Unit | None = None
    other: Tree | None = None


@dataclass(frozen=True)
class Sequence(Answer):
    """Several answers without brackets: unordered, each counted."""

    items: tuple[Answer, ...]
    joined_by: Literal["and", "or", ","] = ","


@dataclass(frozen=True)
class Bracket(Answer):
    """Items in brackets: a point, an interval, a list or a set, which only the other side may tell."""

    opening: str
    items: tuple[Answer, ...]
    closing: str


@dataclass(frozen=True)
class Relation(Answer):
    """`parts` between `operators`: =, <, >, <=, >=, !=, ~ (about), in, notin."""

    parts: tuple[str, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True)
class Combination(Answer):
    """A set made of sets: union, intersection, difference, in the order in which they stand."""

    parts: tuple[Answer, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True)
class Matrix(Answer):
    """Rows of entries; `determinant` where bars stand for its brackets."""

    rows: tuple[tuple[Answer, ...], ...]
    determinant: bool = False


@dataclass(frozen=True)
class Based(Answer):
    """Digits in a base that is named."""

    digits: str
    base: int


@dataclass(frozen=True)
class Ratio(Answer):
    """a : b : …, or a time of day, `minutes` since midnight, where it can be one."""

    parts: tuple[Tree, ...]
    minutes: int | None = None
    half_day: bool = field(default=False)
