# SPDX-License-Identifier: Apache-2.0
"""What an expression is made of: numbers, variables, brackets, roots, functions, sums (`syntax.py` joins them)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from flint import fmpq, fmpz

from klear_verl.reward.math.tokens import (
    FUNCTIONS,
    GREEK,
    SAME_FUNCTION,
    TRIGONOMETRIC,
    UNKNOWN_FUNCTIONS,
    Tree,
    Unreadable,
    number,
)

MAX_DEPTH = 100
MAX_TOWER = 8


class Atoms(ABC):
    """A place in a row of tokens, and the rules that begin with a certain token. The rules for operators are the
    subclass's."""

    def __init__(self, tokens: list[tuple[str, str]], tight: bool):
        self.tokens = tokens
        self.place = 0
        self.depth = 0
        self.tight = tight
        self.bars = 0
        self.divisions = 0
        self.towers = 0
        self.bound: list[str] = []

    def peek(self, ahead: int = 0) -> str:
        place = self.place + ahead
        return self.tokens[place][1] if place < len(self.tokens) else ""

    def kind(self, ahead: int = 0) -> str:
        place = self.place + ahead
        return self.tokens[place][0] if place < len(self.tokens) else ""

    def take(self) -> str:
        value = self.peek()
        if not value:
            raise Unreadable("it ends too early")
        self.place += 1
        return value

    def expect(self, value: str) -> None:
        if self.take() != value:
            raise Unreadable(f"{value} missing")

    # ---- the rules that Grammar adds
    @abstractmethod
    def sum(self) -> Tree:
        """Terms joined by signs."""

    @abstractmethod
    def product(self) -> Tree:
        """Factors."""

    @abstractmethod
    def power(self) -> Tree:
        """An atom with its exponents and factorials."""

    @abstractmethod
    def postfixed(self, tree: Tree) -> Tree:
        """Factorials behind it."""

    @abstractmethod
    def starts_factor(self) -> bool:
        """Whether a factor stands here."""

    @abstractmethod
    def script(self) -> Tree:
        """An exponent or index."""

    @abstractmethod
    def group(self, opening: str, closing: str) -> Tree:
        """An expression in brackets."""

    @abstractmethod
    def argument(self) -> Tree:
        """What \\frac and \\sqrt take."""

    def atom(self) -> Tree:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        tree = self.atom_here()
        self.depth -= 1
        return tree

    def atom_here(self) -> Tree:
        kind, value = self.kind(), self.peek()
        if kind == "num":
            self.take()
            return self.repeating(value)
        if kind == "sym":
            return self.symbol()
        if value == "(":
            return self.group("(", ")")
        if value == "{":
            return self.group("{", "}")
        if value == "[":
            return self.group("[", "]")
        if value == "|":
            return self.absolute()
        if kind == "cmd":
            return self.command()
        raise Unreadable(f"at {value!r}")

    def repeating(self, value: str) -> Tree:
        """0.1\\overline{6}: the digits under the line repeat for ever."""
        if self.peek() in ("\\overline", "\\bar", "\\dot") and "." in value:
            start = self.place
            self.take()
            match = None
            if self.peek() == "{" and self.kind(1) == "num" and self.peek(2) == "}":
                match, length = self.peek(1), 3
            elif self.kind() == "num":
                match, length = self.peek(), 1
            if match and match.isdigit():
                self.place += length
                decimals = len(value.partition(".")[2])
                repeated = fmpq(fmpz(match)) / (fmpq(10) ** decimals * (fmpq(10) ** len(match) - 1))
                return ("num", number(value)[1] + repeated, None)
            self.place = start
        return number(value)

    def absolute(self) -> Tree:
        self.expect("|")
        self.bars += 1
        inner = self.sum()
        self.bars -= 1
        self.expect("|")
        return ("fn", "abs", [inner])

    def symbol(self) -> Tree:
        name = self.take()
        if (indexed := self.indexed(name)) is not None:
            return indexed
        name = self.subscripted(name)
        if name in UNKNOWN_FUNCTIONS and self.peek() == "(" and not self.is_variable(name):
            return ("app", name, self.arguments())
        if name == "C" and self.peek() == "(" and self.peek(2) == ",":
            top, bottom = self.arguments()
            return ("binom", top, bottom)
        return ("sym", name)

    def is_variable(self, name: str) -> bool:
        """Whether the letter stands elsewhere without an argument: R (R + r) is a product."""
        following = [*self.tokens[1:], ("", "end")]
        return any(
            token[1] == name and after[1] not in "(_'" for token, after in zip(self.tokens, following, strict=True)
        )

    def indexed(self, name: str) -> Tree | None:
        """F_k and F_{n-k} under a sum over k: functions of their index."""
        if self.peek() != "_":
            return None
        if self.peek(1) in self.bound:
            self.take()
            return ("app", name + "_", [("sym", self.take())])
        ahead = 2
        while self.peek(1) == "{" and self.peek(ahead) not in ("", "}"):
            if self.peek(ahead) in self.bound:
                self.take()
                return ("app", name + "_", [self.group("{", "}")])
            ahead += 1
        return None

    def subscripted(self, name: str) -> str:
        while self.peek() == "_":
            self.take()
            if self.peek() == "{":
                depth, parts = 0, []
                while True:
                    token = self.take()
                    depth += (token == "{") - (token == "}")
                    parts.append(token)
                    if depth == 0:
                        break
                name += "_" + "".join(parts[1:-1]).replace("\\text", "").replace("{", "").replace("}", "")
            else:
                name += "_" + self.take()
        while self.peek() == "'":
            self.take()
            name += "'"
        return name

    def arguments(self) -> list[Tree]:
        self.expect("(")
        found = [self.sum()]
        while self.peek() in (",", ";"):
            self.take()
            found.append(self.sum())
        self.expect(")")
        return found

    def command(self) -> Tree:
        name = self.take()[1:]
        if name in ("pi",):
            return ("sym", "pi")
        if name in ("infty", "infinity", "inf", "oo"):
            return ("sym", "infty")
        if name == "frac":
            top = self.argument()
            return ("div", top, self.argument())
        if name == "binom":
            if self.peek() == "(":
                top, bottom = self.arguments()
                return ("binom", top, bottom)
            top = self.argument()
            return ("binom", top, self.argument())
        if name in ("sqrt", "cbrt"):
            return self.root(name)
        if name in ("lfloor", "lceil"):
            inner = self.sum()
            self.expect("\\rfloor" if name == "lfloor" else "\\rceil")
            return ("fn", "floor" if name == "lfloor" else "ceil", [inner])
        if name in ("sum", "prod"):
            return self.series(name)
        if name in ("hat", "vec", "tilde", "overline", "bar"):
            inner = self.argument()
            if inner[0] != "sym":
                raise Unreadable(f"\\{name} over an expression")
            return ("sym", f"{name} {inner[1]}")
        if name in FUNCTIONS and not (name in GREEK and self.peek() not in ("(",)):
            return self.function(SAME_FUNCTION.get(name, name))
        if name in GREEK:
            return ("sym", self.subscripted(name))
        if name == "text":
            return self.upright()
        if name == "mathbb":
            return ("sym", "mathbb" + self.bracketed())
        raise Unreadable(f"\\{name}")

    def bracketed(self) -> str:
        self.expect("{")
        value = self.take()
        self.expect("}")
        return value

    def upright(self) -> Tree:
        """Upright letters as a name: `\\text{max}`; what is not a short name is no expression."""
        if self.peek() != "{":
            raise Unreadable("\\text without braces")
        self.take()
        name = ""
        while self.peek() != "}":
            if self.kind() not in ("sym", "num"):
                raise Unreadable("text")
            name += self.take()
        self.take()
        if not name or len(name) > 1:
            raise Unreadable("text")
        return ("sym", self.subscripted(name))

    def root(self, name: str) -> Tree:
        index: Tree = ("num", fmpq(3 if name == "cbrt" else 2), None)
        if self.peek() == "[":
            index = self.group("[", "]")
        radicand = self.argument()
        return ("pow", radicand, ("div", ("num", fmpq(1), None), index))

    def function(self, name: str) -> Tree:
        base = exponent = None
        for _ in range(2):
            if self.peek() == "_":
                self.take()
                base = self.script()
            elif self.peek() == "^":
                self.take()
                exponent = self.script()
        if self.peek() == "(":
            arguments = self.arguments()
        elif self.peek() == "{":
            arguments = [self.group("{", "}")]
        elif self.peek() == "[":
            arguments = [self.group("[", "]")]
        else:
            arguments = [self.bare_argument()]
        if name == "binom" and len(arguments) == 2:
            return ("binom", *arguments)
        if name == "fact":
            return ("fact", arguments[0])
        if name == "log" and len(arguments) == 2:
            base, arguments = arguments[1], arguments[:1]
        tree: Tree = ("fn", name, arguments if base is None else [*arguments, base])
        if exponent is None:
            return tree
        if name in TRIGONOMETRIC and exponent == ("neg", ("num", fmpq(1), None)):
            return ("fn", {"sinh": "arcsinh", "cosh": "arccosh", "tanh": "arctanh"}.get(name, "arc" + name), arguments)
        return ("pow", tree, exponent)

    def bare_argument(self) -> Tree:
        """`\\sin 2x`, `\\cos\\frac{\\pi}{2n}`: factors up to the next sign, operator or function."""
        if self.peek() == "-":
            self.take()
            return ("neg", self.bare_argument())
        tree = self.power()
        while self.starts_factor() and not self.starts_function() and self.peek() not in ("(", "[", "|"):
            tree = ("mul", [tree, self.power()])
        return tree

    def starts_function(self) -> bool:
        value = self.peek()
        return self.kind() == "cmd" and value[1:] in FUNCTIONS - {"sqrt", "cbrt"} and value[1:] not in GREEK

    def series(self, name: str) -> Tree:
        """\\sum_{k=1}^{n} body"""
        low = high = None
        variable = ""
        for _ in range(2):
            if self.peek() == "_":
                self.take()
                self.expect("{")
                if self.kind() != "sym":
                    raise Unreadable("a sum without an index")
                variable = self.take()
                self.expect("=")
                low = self.sum()
                self.expect("}")
            elif self.peek() == "^":
                self.take()
                high = self.script()
        if low is None or high is None:
            raise Unreadable("a sum without limits")
        self.bound.append(variable)
        body = self.product()
        self.bound.pop()
        return (name, variable, low, high, body)
