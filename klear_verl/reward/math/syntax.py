# SPDX-License-Identifier: Apache-2.0
"""Reads an expression, in LaTeX or in calculator notation, as a tree. It knows no values and no types of answers.

A tree is a tuple: ("num", fmpq, digits), ("sym", name), ("add", [trees]), ("mul", [trees]), ("div", a, b), ("neg", a),
("pow", a, b), ("fact", a), ("binom", n, k), ("fn", name, [arguments]), ("app", name, [arguments]) for an unknown
function, ("pm", ±1, a) for ±a and ∓a, ("deg", a), ("sum" | "prod", variable, low, high, body), ("lim", …) and other
forms that have no value. `digits` of a number is how many significant digits it was written with, if it was written
with a decimal point or a power of ten; otherwise None.
"""

from __future__ import annotations

import re

from flint import fmpq

from klear_verl.reward.math.atoms import MAX_DEPTH, MAX_TOWER, Atoms
from klear_verl.reward.math.tokens import (
    FUNCTIONS,
    GREEK,
    Tree,
    Unreadable,
    number,
    tokenize,
)

_SIGNS = ("+", "-", "\\pm", "\\mp")


class Grammar(Atoms):
    """Operators, from the loosest to the tightest."""

    def whole(self) -> Tree:
        tree = self.stacked(self.sum())
        if self.peek():
            raise Unreadable(f"at {self.peek()}")
        return tree

    def stacked(self, top: Tree) -> Tree:
        """`n \\choose k` and `a \\over b`, which split the group that they stand in."""
        if self.peek() in ("\\choose", "\\over"):
            return ("binom" if self.take() == "\\choose" else "div", top, self.sum())
        return top

    def sum(self) -> Tree:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        terms = [self.signed()]
        while self.peek() in _SIGNS:
            terms.append(self.signed())
        self.depth -= 1
        return terms[0] if len(terms) == 1 else ("add", terms)

    def signed(self) -> Tree:
        sign = self.peek()
        if sign in _SIGNS and self.peek(1) in _SIGNS and self.peek(2) in _SIGNS:
            raise Unreadable("a row of signs")
        if sign == "+":
            self.take()
            return self.signed()
        if sign == "-":
            self.take()
            return ("neg", self.signed())
        if sign in ("\\pm", "\\mp"):
            self.take()
            return ("pm", 1 if sign == "\\pm" else -1, self.signed())
        return self.product()

    def product(self) -> Tree:
        tree = self.power()
        # One flat list of factors, however long: trees are walked recursively.
        flat = False
        while True:
            operator = self.peek()
            if operator in ("*", "\\cdot", "\\times"):
                self.take()
                factor = self.factor_after_operator()
                tree, flat = ("mul", [*tree[1], factor] if flat else [tree, factor]), True
            elif operator == "/":
                self.take()
                divisor = self.factor_after_operator()
                while self.tight and self.starts_factor() and self.kind() in ("sym", "cmd"):
                    divisor = ("mul", [divisor, self.power()])
                tree, flat = ("div", tree, divisor), False
                self.divisions += 1
                if self.divisions > MAX_DEPTH // 2:
                    raise Unreadable("too many divisions")
            elif self.starts_factor() or (self.kind() == "num" and self.place and self.kind(-1) == "num"):
                if (mixed := self.mixed_number(tree)) is not None:
                    tree, flat = mixed, False
                    continue
                if not self.starts_factor():
                    raise Unreadable("two numbers side by side")
                factor = self.power()
                tree, flat = ("mul", [*tree[1], factor] if flat else [tree, factor]), True
            else:
                return tree

    def factor_after_operator(self) -> Tree:
        if self.peek() == "-":
            self.take()
            return ("neg", self.factor_after_operator())
        if self.peek() == "+":
            self.take()
            return self.factor_after_operator()
        return self.power()

    def mixed_number(self, tree: Tree) -> Tree | None:
        """`3\\frac{1}{2}` and `3 1/4`: a whole number and a proper fraction of whole numbers."""
        if tree[0] != "num" or tree[2] is not None or self.tokens[self.place - 1][0] != "num":
            return None
        start = self.place
        if self.peek() == "\\frac":
            part = self.power()
        elif self.kind() == "num" and self.peek(1) == "/" and self.kind(2) == "num":
            top = number(self.take())
            self.take()
            part = ("div", top, number(self.take()))
        else:
            return None
        if (
            part[0] == "div"
            and all(side[0] == "num" and side[2] is None for side in part[1:])
            and part[1][1] < part[2][1]
        ):
            return ("add", [tree, part])
        self.place = start
        return None

    def starts_factor(self) -> bool:
        value, kind = self.peek(), self.kind()
        if kind in ("num", "sym"):
            return not (kind == "num" and self.kind(-1) == "num" and self.place > 0)
        if value in ("(", "{", "["):
            return True
        if value == "|":
            return self.bars == 0 or self.opens_bar()
        return kind == "cmd" and (
            value[1:] in GREEK
            or value[1:] in FUNCTIONS
            or value
            in (
                "\\frac",
                "\\sqrt",
                "\\pi",
                "\\infty",
                "\\binom",
                "\\lfloor",
                "\\lceil",
                "\\overline",
                "\\bar",
                "\\sum",
                "\\prod",
                "\\infinity",
                "\\det",
                "\\mathbb",
                "\\text",
                "\\hat",
                "\\vec",
                "\\tilde",
            )
        )

    def opens_bar(self) -> bool:
        """Whether a bar inside bars opens another pair: it does after an operator."""
        before = self.tokens[self.place - 1][1] if self.place else ""
        return before in ("+", "-", "*", "/", "(", "{", "\\cdot", "\\times", "|") and before != "|"

    def power(self) -> Tree:
        base = self.postfixed(self.atom())
        if self.peek() == "^":
            return self.postfixed(self.raised(base))
        return base

    def raised(self, base: Tree) -> Tree:
        self.expect("^")
        self.towers += 1
        if self.towers > MAX_TOWER:
            raise Unreadable("a tower of powers")
        try:
            return self.raised_once(base)
        finally:
            self.towers -= 1

    def raised_once(self, base: Tree) -> Tree:
        if self.peek() == "\\circ" or (self.peek() == "{" and self.peek(1) == "\\circ" and self.peek(2) == "}"):
            self.place += 1 if self.peek() == "\\circ" else 3
            return self.angle(base)
        if self.peek() == "'" or (self.peek() == "{" and self.peek(1) == "'"):
            raise Unreadable("a prime")
        exponent = self.script()
        tree: Tree = ("pow", base, exponent)
        if self.peek() == "^":
            # a^b^c, which LaTeX refuses, is a^(b^c) in calculators.
            return ("pow", base, self.raised(exponent))
        return tree

    def angle(self, degrees: Tree) -> Tree:
        """45° 30' 15": minutes and seconds are sixtieths."""
        parts = [degrees]
        for mark, unit in (("'", 60), ("''", 3600)):
            if self.kind() != "num":
                break
            size = len(mark)
            marks = [self.peek(1 + index) for index in range(size)]
            if marks != ["'"] * size:
                break
            parts.append(("div", number(self.take()), ("num", fmpq(unit), None)))
            self.place += size
        return ("deg", parts[0] if len(parts) == 1 else ("add", parts))

    def script(self) -> Tree:
        """An exponent or the like: a group, or one token, as LaTeX takes it; in calculator notation a signed factor."""
        if self.peek() == "{":
            return self.group("{", "}")
        if self.peek() in ("-", "+"):
            sign = self.take()
            tree = self.script()
            return ("neg", tree) if sign == "-" else tree
        if self.peek() == "(":
            return self.postfixed(self.group("(", ")"))
        if self.kind() == "num":
            return self.postfixed(number(self.take()))
        return self.postfixed(self.atom())

    def argument(self) -> Tree:
        """What `\\frac` and `\\sqrt` take: a group, or one token: `\\frac12`, `\\sqrt2`, `\\frac1{72}`."""
        if self.peek() == "{":
            return self.group("{", "}")
        if self.kind() == "num" and re.fullmatch(r"\d{2,}", self.peek()):
            digits = self.take()
            self.tokens.insert(self.place, ("num", digits[1:]))
            return number(digits[0])
        return self.atom()

    def group(self, opening: str, closing: str) -> Tree:
        self.expect(opening)
        bars, self.bars = self.bars, 0
        tree = self.stacked(self.sum())
        self.bars = bars
        self.expect(closing)
        return tree

    def postfixed(self, tree: Tree) -> Tree:
        times = 0
        while self.peek() == "!" and self.peek(1) != "=":
            self.take()
            tree = ("fact", tree)
            times += 1
            if times > 3:
                raise Unreadable("a row of factorials")
        return tree


def parse(text: str, tight: bool = False) -> Tree:
    """The tree of one expression.

    Args:
        text: as `notation.spelling` leaves it.
        tight: a product without a sign binds more tightly than a division before it, `1/2x` being 1/(2x).

    Raises:
        Unreadable: it is none.
    """
    tokens = tokenize(text)
    if not tokens:
        raise Unreadable("nothing there")
    return Grammar(tokens, tight).whole()
