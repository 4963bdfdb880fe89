# SPDX-License-Identifier: Apache-2.0
"""Whether two numbers, quantities or expressions are the same: units, percent, degrees, decimals, ±."""

from __future__ import annotations

from dataclasses import replace

from flint import fmpq

from klear_verl.reward.math import equality, values
from klear_verl.reward.math.answers import Scalar
from klear_verl.reward.math.syntax import Tree

MIN_DIGITS = 8
"""A decimal stands for an exact value only if it gives it to this many significant digits."""


def same_scalar(one: Scalar, two: Scalar) -> bool:
    for left in filter(None, (one.tree, one.other)):
        for right in filter(None, (two.tree, two.other)):
            if _same_quantity(replace(one, tree=left), replace(two, tree=right)):
                return True
    return False


def _same_quantity(one: Scalar, two: Scalar) -> bool:
    if one.unit is not None and two.unit is not None and one.unit != two.unit:
        if one.unit[0] != two.unit[0] and one.unit[0] and two.unit[0]:
            return False
        if one.unit[0] == two.unit[0]:
            return same_tree(
                _times(one.tree, fmpq(*one.unit[1].as_integer_ratio())),
                _times(two.tree, fmpq(*two.unit[1].as_integer_ratio())),
            )
    for measured, other in ((one, two), (two, one)):
        if measured.unit is not None and other.percent:
            return False
        if measured.unit is not None and other.degrees and not str(measured.unit[0][:1]).startswith("(('temp"):
            return False
    if one.percent != two.percent:
        percent, bare = (one, two) if one.percent else (two, one)
        if bare.degrees:
            return False
        if same_tree(_times(percent.tree, fmpq(1, 100)), bare.tree):
            return True
        # "What percentage": 28 for 28 %, and 28 % for 28; but 0.25 % is not 1/4, which may well be a proportion.
        proportion = values.exact(bare.tree)
        return (one.percent or (proportion is not None and abs(proportion) > 1)) and same_tree(percent.tree, bare.tree)
    if one.degrees != two.degrees:
        degrees, bare = (one, two) if one.degrees else (two, one)
        return same_tree(degrees.tree, bare.tree) or same_tree(("deg", degrees.tree), bare.tree)
    return same_tree(one.tree, two.tree)


def _times(tree: Tree, factor: fmpq) -> Tree:
    if tree[0] == "num":
        return ("num", tree[1] * factor, tree[2])
    if tree[0] == "neg" and tree[1][0] == "num":
        return ("neg", _times(tree[1], factor))
    return ("mul", [tree, ("num", factor, None)])


def same_tree(one: Tree, two: Tree) -> bool:
    onesigns, twosigns = signs(one), signs(two)
    if len(onesigns) != len(twosigns):
        return False
    if len(onesigns) == 2:
        return any(
            all(equality.equal(one, two, pair) for pair in pairs) for pairs in (((1, 1), (-1, -1)), ((1, -1), (-1, 1)))
        )
    return _near(one, two) or equality.equal(one, two)


def signs(tree: Tree) -> tuple[int, ...]:
    return (1, -1) if "pm" in set(values.kinds(tree)) else (1,)


def _near(one: Tree, two: Tree) -> bool:
    """Whether one is a decimal of at least MIN_DIGITS digits to which the other, exact or longer, rounds."""
    for decimal, other in ((one, two), (two, one)):
        literal = _literal(decimal)
        if literal is None or literal[1] < MIN_DIGITS:
            continue
        shown, digits, step = literal[0], literal[1], literal[2]
        other_literal = _literal(other)
        if other_literal is None:
            # Beyond 15 digits a floating-point number is noise.
            step = max(step, step * fmpq(10) ** (digits - 15))
        if other_literal is not None and other_literal[1] < digits:
            # 0.30000000000000004 is 0.3 with the noise of a floating-point number.
            if (
                digits > 15
                and other_literal[1] <= 15
                and abs(shown - other_literal[0]) * 2 <= step * fmpq(10) ** (digits - 15)
            ):
                return True
            continue
        if values.symbols(other):
            continue
        half = step / 2
        low = equality.sign_of(("add", [other, ("neg", ("num", shown - half, None))]))
        high = equality.sign_of(("add", [other, ("neg", ("num", shown + half, None))]))
        if low is not None and high is not None and low >= 0 >= high:
            # A whole number is exact: 17.0000000001 is not 17.
            exact = values.exact(other)
            if exact is not None and exact.q == 1 and other_literal is None and exact != shown:
                continue
            return True
    return False


def _literal(tree: Tree) -> tuple[fmpq, int, fmpq] | None:
    """(value, significant digits, value of the last digit) of a decimal literal, with its sign and power of ten."""
    if tree[0] == "neg":
        inner = _literal(tree[1])
        return None if inner is None else (-inner[0], inner[1], inner[2])
    if tree[0] == "num" and tree[2] is not None:
        value = tree[1]
        if value == 0:
            return None
        size = abs(value)
        magnitude = len(size.p.str()) - len(size.q.str())
        if size < fmpq(10) ** magnitude:
            magnitude -= 1
        return value, tree[2], fmpq(10) ** (magnitude - tree[2] + 1)
    if tree[0] == "mul" and len(tree[1]) == 2 and tree[1][1][0] == "pow" and values.exact(tree[1][1][1]) == 10:
        inner, power = _literal(tree[1][0]), values.exact(tree[1][1])
        return None if inner is None or power is None else (inner[0] * power, inner[1], inner[2] * power)
    return None


def fixed(tree: Tree, sign: int) -> Tree:
    if tree[0] == "pm":
        inner = fixed(tree[2], sign)
        return inner if tree[1] * sign > 0 else ("neg", inner)
    return tuple(
        [fixed(child, sign) if isinstance(child, tuple) else child for child in part]
        if isinstance(part, list)
        else fixed(part, sign)
        if isinstance(part, tuple) and part and isinstance(part[0], str)
        else part
        for part in tree
    )
