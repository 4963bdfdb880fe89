# SPDX-License-Identifier: Apache-2.0
"""Whether two expressions are equal, as numbers or as functions; whether they are proportional; the sign of a number.

Numbers are unequal if their balls are disjoint, which proves it, and equal if the balls still overlap at MAX_BITS of
precision: numbers that arise in answers and differ do so long before. Functions are compared at fixed points.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from flint import acb, arb, ctx, fmpq

from klear_verl.reward.math.syntax import Tree
from klear_verl.reward.math.values import NoValue, Point, exact, is_endless, needs_integers, symbols, value

MAX_BITS = 2048
_ENDLESS_TERMS = (30, 41)
_FAST_TERMS = 500


def sign_of(tree: Tree, point: Point | None = None) -> int | None:
    """-1, 0 or 1 for a real number; None if it has no value or is not real."""
    rational = exact(tree)
    if rational is not None:
        return (rational > 0) - (rational < 0)
    for bits in _precisions():
        with ctx.workprec(bits):
            try:
                found = value(tree, point or {})
            except (NoValue, ZeroDivisionError, OverflowError, ValueError):
                return None
            if not found.is_finite():
                continue
            if not found.imag.contains(0):
                return None
            if found.real > 0:
                return 1
            if found.real < 0:
                return -1
    return 0


def _precisions() -> Iterator[int]:
    bits = 64
    while bits <= MAX_BITS:
        yield bits
        bits *= 4 if bits < 256 else 2


def equal_at(left: Tree, right: Tree, point: Point, signs: tuple[int, int] = (1, 1), endless: int = 0) -> str:
    """How two expressions compare at one point: "equal", "unequal", "complex" (equal, but not real), "complex unequal",
    or "none" where one has no value."""
    one, two = exact(left), exact(right)
    if one is not None and two is not None:
        return "equal" if one == two else "unequal"
    seen = "none"
    for bits in _precisions():
        with ctx.workprec(bits):
            try:
                a, b = value(left, point, endless, signs[0]), value(right, point, endless, signs[1])
            except (NoValue, ZeroDivisionError, OverflowError, ValueError):
                return "none"
            if not (a.is_finite() and b.is_finite()):
                # A ball too wide for its place in a formula, or a pole: more precision tells.
                if bits >= 1024:
                    return "none"
                continue
            real = a.imag.contains(0) and b.imag.contains(0)
            if not a.overlaps(b):
                return "unequal" if real else "complex unequal"
            seen = "equal" if real else "complex"
            if min(a.rel_accuracy_bits(), b.rel_accuracy_bits()) < 0 and bits < 1024:
                continue
            if bits >= 1024 and _precise(a, b):
                return seen
    return seen


def _precise(a: acb, b: acb) -> bool:
    """Whether both balls are small, in themselves or beside 1."""
    radius = max(abs(x.rad()) if hasattr(x, "rad") else arb(0) for x in (a.real, a.imag, b.real, b.imag))
    return bool(radius < arb(2) ** -700) or min(a.rel_accuracy_bits(), b.rel_accuracy_bits()) > 700


_REALS = [
    fmpq(*pair) for pair in ((7, 5), (3, 11), (23, 9), (11, 13), (47, 10), (5, 7), (61, 17), (2, 19), (29, 31), (97, 8))
]
_NEGATIVES = [fmpq(*pair) for pair in ((-9, 7), (-4, 13), (-31, 12), (-8, 9))]
_WHOLE = [fmpq(n) for n in (5, 3, 8, 2, 6, 11, 4, 9)]


def points(names: set[str], whole: bool) -> Iterator[tuple[Point, bool]]:
    """Fixed points at which expressions are compared, and whether all coordinates are positive."""
    ordered = sorted(names)
    for shift in range(6 if not whole else 8):
        pool = _WHOLE if whole else _REALS
        yield (
            {
                name: pool[(shift + 3 * place) % len(pool)] + (place if whole else 0)
                for place, name in enumerate(ordered)
            },
            True,
        )
    if not whole:
        for shift, signs in zip(range(4), itertools.cycle([(1,), (1, 0), (0, 1), (1, 1, 0)])):
            chosen = {}
            for place, name in enumerate(ordered):
                pool = _NEGATIVES if signs[place % len(signs)] else _REALS
                chosen[name] = pool[(shift + 2 * place) % len(pool)]
            yield chosen, False


def equal(left: Tree, right: Tree, signs: tuple[int, int] = (1, 1)) -> bool:
    """Whether two expressions are the same function of their variables, at fixed points with positive coordinates, and
    with negative ones where both are real."""
    if left == right:
        return True
    names = symbols(left) | symbols(right)
    if not names and is_endless(left) != is_endless(right):
        return _converges(left, right)
    endless = _ENDLESS_TERMS if {"infty"} & (_names(left) | _names(right)) else (0,)
    if not names:
        return all(equal_at(left, right, {}, signs, terms) in ("equal", "complex") for terms in endless)
    whole = needs_integers(left) or needs_integers(right)
    real = complex_ = 0
    for point, positive in points(names, whole):
        for terms in endless:
            outcome = equal_at(left, right, point, signs, terms)
            if outcome == "unequal":
                return False
            if outcome == "complex unequal":
                if positive:
                    complex_ -= 1000
            elif outcome == "equal":
                real += 1
            elif outcome == "complex" and positive:
                complex_ += 1
    if real >= 3:
        return complex_ > -1000 or not ({"i"} & (_names(left) | _names(right)))
    return complex_ >= 3


def _converges(left: Tree, right: Tree) -> bool:
    """Whether a series that converges fast, as geometric ones do, comes to the other side."""
    with ctx.workprec(256):
        try:
            difference = value(left, {}, _FAST_TERMS) - value(right, {}, _FAST_TERMS)
        except (NoValue, ZeroDivisionError, OverflowError, ValueError):
            return False
        return bool(abs(difference) < arb(2) ** -100)


def _names(tree: Tree) -> set[str]:
    found = {tree[1]} if tree[0] == "sym" else set()
    for part in tree[1:]:
        for child in part if isinstance(part, list) else [part]:
            if isinstance(child, tuple):
                found |= _names(child)
    return found


def proportional(left: Tree, right: Tree) -> int:
    """The sign of the constant c ≠ 0 with left = c · right at all points; 0 if there is none."""
    names = symbols(left) | symbols(right)
    if not names or (symbols(left) != symbols(right) and not (symbols(left) and symbols(right))):
        return 0
    ratio: acb | None = None
    found = agreeing = 0
    for point, positive in points(names, needs_integers(left) or needs_integers(right)):
        with ctx.workprec(256):
            try:
                a, b = value(left, point), value(right, point)
                if not (a.is_finite() and b.is_finite()):
                    continue
                if a.contains(0) or b.contains(0):
                    if a.contains(0) != b.contains(0):
                        return 0
                    continue
                quotient = a / b
            except (NoValue, ZeroDivisionError, OverflowError, ValueError):
                continue
            if not quotient.imag.contains(0) or not (a.imag.contains(0) and b.imag.contains(0)):
                if positive:
                    return 0
                continue
            if ratio is None:
                ratio = quotient
                found = 1 if quotient.real > 0 else -1
            elif not quotient.overlaps(ratio):
                return 0
            agreeing += 1
    return found if agreeing >= 3 else 0
