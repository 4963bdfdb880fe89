# SPDX-License-Identifier: Apache-2.0
"""What an expression is worth: exactly where it is rational, else as a ball that is certain to hold the value.

Two expressions are unequal if their balls are disjoint, which proves it. They are equal if the balls still overlap at
MAX_BITS of precision: numbers that arise in answers and differ do so long before. Nothing is ever simplified or
rounded, and every size is bounded before anything is computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flint import acb, fmpq, fmpz

from klear_verl.reward.math.syntax import Tree

MAX_BITS = 2048
MAX_EXACT_BITS = 200_000
MAX_TERMS = 1500
_ENDLESS_TERMS = (30, 41)


class NoValue(Exception):
    """The expression has no value here: an unknown name, a limit, an integral, a division by zero, too large."""


def exact(tree: Tree) -> fmpq | None:
    """The value, if it is rational and plain arithmetic finds it within MAX_EXACT_BITS."""
    kind = tree[0]
    if kind == "num":
        return tree[1]
    if kind == "neg":
        value = exact(tree[1])
        return None if value is None else -value
    if kind in ("add", "mul"):
        total = fmpq(0) if kind == "add" else fmpq(1)
        for part in tree[1]:
            value = exact(part)
            if value is None or _bits(total) + _bits(value) > MAX_EXACT_BITS:
                return None
            total = total + value if kind == "add" else total * value
        return total
    if kind == "div":
        top, bottom = exact(tree[1]), exact(tree[2])
        if top is None or bottom is None or bottom == 0:
            return None
        return top / bottom
    if kind == "pow":
        base, power = exact(tree[1]), exact(tree[2])
        if base is None or power is None or power.q != 1:
            return None
        if base == 0 and power <= 0:
            return None
        if abs(power) * _bits(base) > MAX_EXACT_BITS:
            return None
        return base ** int(power.p)
    if kind == "fact":
        value = exact(tree[1])
        if value is None or value.q != 1 or not 0 <= value <= 5000:
            return None
        return fmpq(fmpz.fac_ui(value.p))
    if kind == "fn" and tree[1] in ("max", "min", "gcd", "lcm"):
        return _exact_of_several(tree[1], [exact(argument) for argument in tree[2]])
    if kind == "binom":
        top, bottom = exact(tree[1]), exact(tree[2])
        if top is None or bottom is None or top.q != 1 or bottom.q != 1 or not 0 <= top <= 20_000 or bottom < 0:
            return None
        return fmpq(fmpz.bin_uiui(int(top.p), int(bottom.p)))
    return None


def _exact_of_several(name: str, arguments: list[fmpq | None]) -> fmpq | None:
    known = [argument for argument in arguments if argument is not None]
    if len(known) != len(arguments) or len(known) < 2:
        return None
    if name in ("max", "min"):
        return max(known) if name == "max" else min(known)
    if any(argument.q != 1 for argument in known):
        return None
    result = known[0].p
    for argument in known[1:]:
        result = result.gcd(argument.p) if name == "gcd" else result.lcm(argument.p)
    return fmpq(result)


def _bits(value: fmpq) -> int:
    return max(1, value.p.bit_length(), value.q.bit_length())


def symbols(tree: Tree, bound: frozenset[str] = frozenset()) -> set[str]:
    """The free variables."""
    if tree[0] == "sym":
        return set() if tree[1] in CONSTANTS or tree[1] in bound else {tree[1]}
    if tree[0] in ("sum", "prod"):
        _, variable, low, high, body = tree
        return symbols(low, bound) | symbols(high, bound) | symbols(body, bound | {variable})
    found: set[str] = set()
    for part in tree[1:]:
        for child in part if isinstance(part, list) else [part]:
            if isinstance(child, tuple):
                found |= symbols(child, bound)
    return found


CONSTANTS = {"pi", "e", "i", "infty"}


def kinds(tree: Tree) -> Iterator[str]:
    """Every kind of node in the tree, functions by name."""
    yield tree[0] if tree[0] != "fn" else tree[1]
    for part in tree[1:]:
        for child in part if isinstance(part, list) else [part]:
            if isinstance(child, tuple):
                yield from kinds(child)


def is_endless(tree: Tree) -> bool:
    """Whether a series without end stands in it, whose value is not computed."""
    if tree[0] in ("sum", "prod"):
        return tree[3] == ("sym", "infty")
    return any(
        is_endless(child)
        for part in tree[1:]
        for child in (part if isinstance(part, list) else [part])
        if isinstance(child, tuple)
    )


def needs_integers(tree: Tree) -> bool:
    """Whether the expression is meant for whole numbers: sums to a variable, powers of a negative number to one."""
    if tree[0] in ("sum", "prod"):
        return bool(symbols(tree[2]) | symbols(tree[3]))
    if tree[0] == "pow" and symbols(tree[2]):
        base = exact(tree[1])
        if base is not None and base < 0:
            return True
    if tree[0] == "fn" and tree[1] in ("gcd", "lcm"):
        return True
    return any(
        needs_integers(child)
        for part in tree[1:]
        for child in (part if isinstance(part, list) else [part])
        if isinstance(child, tuple)
    )


Point = Mapping[str, fmpq]


def value(tree: Tree, point: Point, endless: int = 0, sign: int = 1) -> acb:
    """A ball around the value, at the current precision of `flint.ctx`.

    Args:
        tree: the expression.
        point: what its variables are.
        endless: how many terms of an endless series to take.
        sign: what ± stands for, tied through the whole expression.

    Raises:
        NoValue: it has none.
    """
    return _Evaluation(point, endless, sign).of(tree)


class _Evaluation:
    def __init__(self, point: Point, endless: int, sign: int):
        self.point = dict(point)
        self.endless = endless
        self.sign = sign
        self.terms = 0

    def of(self, tree: Tree) -> acb:
        rational = exact(tree)
        if rational is not None:
            return acb(rational)
        return getattr(self, "_" + tree[0], self._unknown)(tree)

    def _unknown(self, tree: Tree) -> acb:
        raise NoValue(tree[0])

    def _sym(self, tree: Tree) -> acb:
        name = tree[1]
        if name in self.point:
            return acb(self.point[name])
        if name == "pi":
            return acb.pi()
        if name == "e":
            return acb(1).exp()
        if name == "i":
            return acb(0, 1)
        raise NoValue(name)

    def _neg(self, tree: Tree) -> acb:
        return -self.of(tree[1])

    def _pm(self, tree: Tree) -> acb:
        return self.of(tree[2]) * (self.sign * tree[1])

    def _deg(self, tree: Tree) -> acb:
        return self.of(tree[1]) * acb.pi() / 180

    def _add(self, tree: Tree) -> acb:
        total = acb(0)
        for part in tree[1]:
            total += self.of(part)
        return total

    def _mul(self, tree: Tree) -> acb:
        total = acb(1)
        for part in tree[1]:
            total *= self.of(part)
        return total

    def _div(self, tree: Tree) -> acb:
        return self.of(tree[1]) / self.of(tree[2])

    def _pow(self, tree: Tree) -> acb:
        power = exact(tree[2])
        base = self.of(tree[1])
        if power is not None and power.q == 1 and abs(power) < 1 << 62:
            return base ** int(power.p)
        if power is not None and power.q == 2 and power.p == 1:
            return base.sqrt()
        if tree[1] == ("sym", "e"):
            return self.of(tree[2]).exp()
        if power is not None and power.q % 2 == 1 and base.imag == 0 and base.real < 0:
            # An odd root of a negative real number is real, as schools have it.
            magnitude = (-base) ** acb(power)
            return magnitude if power.p % 2 == 0 else -magnitude
        return base ** self.of(tree[2])

    def _fact(self, tree: Tree) -> acb:
        inner = self.of(tree[1])
        if abs(inner.real) > 10**15:
            raise NoValue("a factorial beyond all use")
        return (inner + 1).gamma()

    def _binom(self, tree: Tree) -> acb:
        top, bottom = self.of(tree[1]), self.of(tree[2])
        if abs(top.real) > 10**12:
            raise NoValue("a binomial beyond all use")
        return (top + 1).gamma() * (bottom + 1).rgamma() * (top - bottom + 1).rgamma()

    def _app(self, tree: Tree) -> acb:
        # An unknown function is a fixed smooth one that no identity is likely to hold for.
        total = acb(sum(map(ord, tree[1])) % 97 + 2)
        for place, argument in enumerate(tree[2]):
            total = total * (self.of(argument) * (place + 3) + 1).cos() + self.of(argument) / (place + 7) + 2
        return total

    def _sum(self, tree: Tree) -> acb:
        return self._series(tree, acb(0))

    def _prod(self, tree: Tree) -> acb:
        return self._series(tree, acb(1))

    def _series(self, tree: Tree, total: acb) -> acb:
        _, variable, low, high, body = tree
        first = self._whole(low)
        if high == ("sym", "infty"):
            if not self.endless:
                raise NoValue("an endless series")
            last = first + self.endless
        else:
            last = self._whole(high)
        self.terms += max(0, last - first + 1)
        if self.terms > MAX_TERMS:
            raise NoValue("too many terms")
        outer = self.point.get(variable)
        for index in range(first, last + 1):
            self.point[variable] = fmpq(index)
            total = total + self.of(body) if tree[0] == "sum" else total * self.of(body)
        if outer is None:
            self.point.pop(variable, None)
        else:
            self.point[variable] = outer
        return total

    def _whole(self, tree: Tree) -> int:
        whole = self.of(tree).unique_fmpz()
        if whole is None or abs(whole) > 10**9:
            raise NoValue("limits that are no whole numbers")
        return int(whole)

    def _fn(self, tree: Tree) -> acb:
        name, arguments = tree[1], tree[2]
        if name in ("max", "min", "gcd", "lcm"):
            raise NoValue(name)
        inner = self.of(arguments[0])
        if name == "log":
            if len(arguments) == 2:
                return inner.log() / self.of(arguments[1]).log()
            return inner.log()
        if len(arguments) != 1:
            raise NoValue(f"{name} of several arguments")
        if name in _DIRECT:
            return getattr(inner, _DIRECT[name])()
        if name == "cis":
            return (inner * acb(0, 1)).exp()
        if name == "abs":
            return acb(abs(inner))
        if name in ("floor", "ceil"):
            if inner.imag != 0:
                raise NoValue("the floor of a complex number")
            rational = exact(arguments[0])
            if rational is not None:
                return acb(rational.floor() if name == "floor" else rational.ceil())
            return acb(inner.real.floor() if name == "floor" else inner.real.ceil())
        if name == "sgn":
            return acb(inner.real.sgn())
        if name in ("sech", "csch"):
            return 1 / (inner.cosh() if name == "sech" else inner.sinh())
        if name in ("arccot", "acot", "arcsec", "arccsc"):
            inverse = 1 / inner
            return {"arccot": inverse.atan, "acot": inverse.atan, "arcsec": inverse.acos, "arccsc": inverse.asin}[
                name
            ]()
        raise NoValue(name)


_DIRECT = {
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "cot": "cot",
    "sec": "sec",
    "csc": "csc",
    "sinh": "sinh",
    "cosh": "cosh",
    "tanh": "tanh",
    "coth": "coth",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "ln": "log",
    "exp": "exp",
    "zeta": "zeta",
    "Gamma": "gamma",
}
