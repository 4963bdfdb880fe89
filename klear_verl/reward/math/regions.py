# SPDX-License-Identifier: Apache-2.0
"""Sets of real numbers as unions of intervals: from interval notation, inequalities and set operations.

End points are expressions; they are ordered by their values, so a set with a variable in an end point has a reading
only where it is a single interval.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cmp_to_key

from flint import fmpq

from klear_verl.reward.math import equality, values
from klear_verl.reward.math.answers import Answer, Bracket, Combination, Relation, Scalar, Sequence, Text
from klear_verl.reward.math.names import is_name
from klear_verl.reward.math.notation import characters, words
from klear_verl.reward.math.quantities import fixed, signs
from klear_verl.reward.math.reading import read
from klear_verl.reward.math.syntax import Tree, Unreadable, parse

INFINITY: Tree = ("sym", "infty")
MINUS_INFINITY: Tree = ("neg", INFINITY)


@dataclass(frozen=True)
class Interval:
    """low ≤ x ≤ high, without the end points that are not `closed`."""

    low: Tree
    low_closed: bool
    high: Tree
    high_closed: bool


Region = list[Interval]
_EVERYTHING = Interval(MINUS_INFINITY, False, INFINITY, False)


def region_of(answer: Answer) -> Region | None:
    """The set that an answer describes, sorted and merged; None if it describes none."""
    try:
        found = _region(answer)
    except (Unreadable, _Unordered):
        return None
    return found


class _Unordered(Exception):
    """Two end points whose order is not known."""


def _region(answer: Answer) -> Region | None:
    if isinstance(answer, Bracket):
        return _bracket(answer)
    if isinstance(answer, Combination):
        total = _region(answer.parts[0])
        for operator, part in zip(answer.operators, answer.parts[1:], strict=True):
            other = _region(part)
            if total is None or other is None:
                return None
            if operator == "\\cup":
                total = _merged(total + other)
            elif operator == "\\cap":
                total = _intersection(total, other)
            else:
                total = _intersection(total, _complement(other))
        return total
    if isinstance(answer, Relation):
        return _condition(answer)
    if isinstance(answer, Sequence):
        if (excluded := _excluded(answer)) is not None:
            return _complement(excluded)
        regions = [_item(item) for item in answer.items]
        if any(region is None for region in regions):
            return None
        total = regions[0]
        # "x < 3, x ≠ 1" is both.
        not_equal = any(isinstance(item, Relation) and item.operators == ("!=",) for item in answer.items)
        for region in regions[1:]:
            assert total is not None and region is not None
            both = answer.joined_by == "and" or (answer.joined_by == "," and not_equal)
            total = _intersection(total, region) if both else _merged(total + region)
        return total
    if characters(answer.text) in ("\\mathbbR", "R") or words(answer.text) in _ALL_REALS:
        return [_EVERYTHING]
    if isinstance(answer, Text) and (exception := _EXCEPT.fullmatch(answer.text)):
        return _region(read("x \\ne " + re.sub(r"^[a-z]\s*=\s*", "", exception[1].strip(" }"))))
    if isinstance(answer, Text) and (characters(answer.text) == "\\emptyset" or words(answer.text) in _NO_REALS):
        return []
    return None


_ALL_REALS = {"allreal", "allreals", "allrealnumbers", "allrealnumbersx", "realnumbers", "allrealx"}
_EXCEPT = re.compile(r"(?:\\text\{)?\s*all real (?:numbers )?(?:except|but)\s*(?:for)?([^A-Z]*)", re.IGNORECASE)
_NO_REALS = {"emptyset", "nullset"}


def named_set(answer: Answer) -> bool:
    """Whether it is all real numbers or the empty set, by name."""
    return not isinstance(answer, (Bracket, Combination, Relation, Sequence)) and region_of(answer) is not None


def _excluded(answer: Sequence) -> Region | None:
    """The points of `x \\ne 1, x \\ne 2` and `x \\ne 1, 2`; None if it excludes no points."""
    first = answer.items[0]
    if not isinstance(first, Relation) or first.operators != ("!=",):
        return None
    points: Region = []
    for item in answer.items:
        if isinstance(item, Relation) and item.operators == ("!=",):
            item = read(item.parts[1])
        if not isinstance(item, Scalar):
            return None
        points += [Interval(tree, True, tree, True) for tree in (fixed(item.tree, sign) for sign in signs(item.tree))]
    return _merged(points)


def _item(answer: Answer) -> Region | None:
    """An item of a list of conditions: a condition, or a single value."""
    if isinstance(answer, Scalar) and not values.symbols(answer.tree):
        return [Interval(answer.tree, True, answer.tree, True)]
    return _region(answer)


def _bracket(bracket: Bracket) -> Region | None:
    items = bracket.items
    if bracket.opening == "{":
        if not all(isinstance(item, Scalar) and not values.symbols(item.tree) for item in items):
            return None
        return _merged([Interval(item.tree, True, item.tree, True) for item in items if isinstance(item, Scalar)])
    if len(items) != 2 or not all(isinstance(item, Scalar) for item in items):
        return None
    low, high = items
    assert isinstance(low, Scalar) and isinstance(high, Scalar)
    return [Interval(low.tree, bracket.opening == "[", high.tree, bracket.closing == "]")]


_FLIP = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _condition(relation: Relation) -> Region | None:
    """a ≤ x < b, x > a, x ≠ a, x = a, for one variable that stands alone on a side."""
    parts, operators = relation.parts, relation.operators
    if len(parts) == 3 and is_name(parts[1]) and not is_name(parts[0]) | is_name(parts[2]):
        low, high = parse(parts[0]), parse(parts[2])
        if set(operators) <= {"<", "<="}:
            return [Interval(low, operators[0] == "<=", high, operators[1] == "<=")]
        if set(operators) <= {">", ">="}:
            return [Interval(high, operators[1] == ">=", low, operators[0] == ">=")]
        return None
    if len(parts) != 2:
        return None
    left, right = parts
    (operator,) = operators
    if operator == "in" and is_name(left):
        return _region(read(right))
    if is_name(right) and not is_name(left):
        left, right = right, left
        operator = _FLIP.get(operator, operator)
    if not is_name(left):
        return _linear(left, operator, right)
    if operator == "=":
        point = parse(right)
        return None if values.symbols(point) else [Interval(point, True, point, True)]
    return _half_line(operator, parse(right))


def _half_line(operator: str, bound: Tree) -> Region | None:
    if operator in ("<", "<="):
        return [Interval(MINUS_INFINITY, False, bound, operator == "<=")]
    if operator in (">", ">="):
        return [Interval(bound, operator == ">=", INFINITY, False)]
    if operator == "!=":
        points = [fixed(bound, sign) for sign in signs(bound)]
        return _complement(_merged([Interval(point, True, point, True) for point in points]))
    return None


def _linear(left: str, operator: str, right: str) -> Region | None:
    """a x + b < c in one variable: found from two points, checked at a third."""
    sides = parse(left), parse(right)
    for inner, end, turned in ((*sides, operator), (*sides[::-1], _FLIP.get(operator, operator))):
        if inner[0] == "fn" and inner[1] == "abs" and equality.sign_of(end) == 1 and turned in _FLIP:
            return _absolute(inner[2][0], turned, end)
    difference: Tree = ("add", [sides[0], ("neg", sides[1])])
    names = values.symbols(difference)
    if len(names) != 1:
        return None
    (name,) = names
    at = []
    for point in (0, 1, 2, 3):
        fixed = values_at(difference, name, fmpq(point))
        if fixed is None:
            return None
        at.append(fixed)
    slope = at[1] - at[0]
    bend = (at[2] - at[1] - slope) / 2
    if at[3] != at[0] + 3 * slope + 6 * bend or operator == "=":
        return None
    if bend:
        return _quadratic(bend, slope - bend, at[0], operator)
    if slope == 0:
        return None
    bound: Tree = ("num", -at[0] / slope, None)
    return _half_line(operator if slope > 0 else _FLIP.get(operator, operator), bound)


def _quadratic(a: fmpq, b: fmpq, c: fmpq, operator: str) -> Region | None:
    """a x² + b x + c < 0 and the like, where it has two roots."""
    square = b * b - 4 * a * c
    if square <= 0 or operator not in _FLIP:
        return None
    root: Tree = ("pow", ("num", square, None), ("num", fmpq(1, 2), None))
    low, high = (
        ("div", ("add", [("num", -b, None), part]), ("num", 2 * a, None))
        for part in ((("neg", root), root) if a > 0 else (root, ("neg", root)))
    )
    return _between(low, high, operator if a > 0 else _FLIP[operator])


def _absolute(inner: Tree, operator: str, bound: Tree) -> Region | None:
    """|x| < c and |a x + b| < c for a positive c."""
    names = values.symbols(inner)
    if len(names) != 1:
        return None
    (name,) = names
    at = [values_at(inner, name, fmpq(point)) for point in (0, 1, 2)]
    if at[0] is None or at[1] is None or at[2] is None or at[1] == at[0] or at[2] - at[1] != at[1] - at[0]:
        return None
    slope = at[1] - at[0]
    ends = [("div", ("add", [end, ("num", -at[0], None)]), ("num", slope, None)) for end in (("neg", bound), bound)]
    low, high = ends if slope > 0 else ends[::-1]
    return _between(low, high, operator)


def _between(low: Tree, high: Tree, operator: str) -> Region:
    """The numbers between two, or those outside of them."""
    if operator in ("<", "<="):
        return [Interval(low, operator == "<=", high, operator == "<=")]
    closed = operator == ">="
    return [Interval(MINUS_INFINITY, False, low, closed), Interval(high, closed, INFINITY, False)]


def values_at(tree: Tree, name: str, point: fmpq) -> fmpq | None:
    """The exact value of an expression in one variable."""

    def put(node: Tree) -> Tree:
        if node == ("sym", name):
            return ("num", point, None)
        return tuple(
            [put(child) if isinstance(child, tuple) else child for child in part]
            if isinstance(part, list)
            else put(part)
            if isinstance(part, tuple) and part and isinstance(part[0], str)
            else part
            for part in node
        )

    return values.exact(put(tree))


# ---------------------------------------------------------------------- order


def _compare(one: Tree, two: Tree) -> int:
    """-1, 0 or 1.

    Raises:
        _Unordered: the values are not known.
    """
    if one == two:
        return 0
    for tree, sign in ((INFINITY, 1), (MINUS_INFINITY, -1)):
        if one == tree:
            return sign
        if two == tree:
            return -sign
    difference: Tree = ("add", [one, ("neg", two)])
    if values.symbols(difference):
        if equality.equal(one, two):
            return 0
        raise _Unordered
    order = equality.sign_of(difference)
    if order is None:
        raise _Unordered
    return order


def _merged(region: Region) -> Region:
    """Sorted, with intervals joined that overlap or touch."""

    def order(a: Interval, b: Interval) -> int:
        return _compare(a.low, b.low) or (b.low_closed - a.low_closed)

    result: Region = []
    for interval in sorted(region, key=cmp_to_key(order)):
        if _empty(interval):
            continue
        if result:
            last = result[-1]
            gap = _compare(interval.low, last.high)
            if gap < 0 or (gap == 0 and (interval.low_closed or last.high_closed)):
                end = _compare(interval.high, last.high)
                high, closed = (
                    (interval.high, interval.high_closed)
                    if end > 0
                    else (last.high, last.high_closed or (end == 0 and interval.high_closed))
                )
                result[-1] = Interval(last.low, last.low_closed, high, closed)
                continue
        result.append(interval)
    return result


def _empty(interval: Interval) -> bool:
    order = _compare(interval.low, interval.high)
    return order > 0 or (order == 0 and not (interval.low_closed and interval.high_closed))


def _complement(region: Region) -> Region:
    result: Region = []
    low, closed = MINUS_INFINITY, False
    for interval in _merged(region):
        if interval.low != MINUS_INFINITY:
            result.append(Interval(low, closed, interval.low, not interval.low_closed))
        low, closed = interval.high, not interval.high_closed
    if low != INFINITY:
        result.append(Interval(low, closed, INFINITY, False))
    return [interval for interval in result if not _empty(interval)]


def _intersection(one: Region, two: Region) -> Region:
    return _complement(_merged(_complement(one) + _complement(two)))


def regions_equal(one: Region, two: Region) -> bool:
    """Whether two sets are the same."""
    try:
        if len(one) > 1 or len(two) > 1:
            one, two = _merged(one), _merged(two)
        return len(one) == len(two) and all(
            (a.low_closed, a.high_closed) == (b.low_closed, b.high_closed)
            and _compare(a.low, b.low) == 0
            and _compare(a.high, b.high) == 0
            for a, b in zip(one, two, strict=True)
        )
    except _Unordered:
        return False
