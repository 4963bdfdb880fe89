# SPDX-License-Identifier: Apache-2.0
"""The words of an expression: numbers, variables, commands, operators; and which letters are names."""

from __future__ import annotations

import re
from typing import Any

from flint import fmpq, fmpz

Tree = tuple[Any, ...]

MAX_TOKENS = 1500
MAX_WORD = 400
MAX_PROSE = 400


class Unreadable(Exception):
    """The text is no expression of this grammar."""


_GREEK_NAMES = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho varrho sigma
varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell
hbar odot oplus star partial nabla aleph
"""
GREEK = frozenset(_GREEK_NAMES.split())
_FUNCTIONS_NAMES = """
cis sin cos tan cot sec csc sinh cosh tanh coth sech csch arcsin arccos arctan acot asin acos atan arcsinh arccosh
arctanh arsinh arcosh artanh asinh acosh atanh ln log exp sqrt cbrt abs floor ceil ceiling gcd lcm max min sgn
sign zeta Gamma gamma binom fact factorial
"""
FUNCTIONS = frozenset(_FUNCTIONS_NAMES.split())
_SYNONYMS = """
asin=arcsin acos=arccos atan=arctan arsinh=arcsinh asinh=arcsinh arcosh=arccosh acosh=arccosh artanh=arctanh
atanh=arctanh ceiling=ceil sign=sgn factorial=fact gamma=Gamma
"""
SAME_FUNCTION = dict(pair.split("=") for pair in _SYNONYMS.split())
_TRIGONOMETRIC_NAMES = "cis sin cos tan cot sec csc sinh cosh tanh coth sech csch"
TRIGONOMETRIC = frozenset(_TRIGONOMETRIC_NAMES.split())
UNKNOWN_FUNCTIONS = frozenset("fghFGHPQTWVRS")
"""Letters that are functions where a bracket follows; any other letter is then a factor."""

_WORDS = FUNCTIONS | GREEK | {"pi", "infinity", "inf", "oo"}
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<num>(?:\d+(?:\.\d+|\.(?=\s*\\(?:overline|bar|dot)(?![a-zA-Z])))?|\.\d+)(?:[eE][-+]?\d+(?![\d.a-zA-Z]))?)
    |(?P<cmd>\\[a-zA-Z]+|\\[{}|%$#&_])
    |(?P<word>[A-Za-z]+)
    |(?P<op>\*\*|\|\||[-+*/^_(){}\[\]|!,=<>':;&%])
    )""",
    re.VERBOSE,
)


def tokenize(text: str) -> list[tuple[str, str]]:
    """(kind, text) pairs.

    Raises:
        Unreadable: a character that stands in no expression, or too many tokens.
    """
    tokens: list[tuple[str, str]] = []
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise Unreadable(f"at {text[place : place + 20]!r}")
        place = match.end()
        kind = match.lastgroup or ""
        value = match.group(kind)
        if kind == "word":
            tokens += _letters(value)
        else:
            tokens.append((kind, value))
        if len(tokens) > MAX_TOKENS:
            raise Unreadable("too long")
    return tokens


_SHORT_WORDS_NAMES = "yes no not none odd all any red even true both east west up one two six ten"
_SHORT_WORDS = frozenset(_SHORT_WORDS_NAMES.split())


def is_prose(text: str) -> bool:
    """Whether a word stands in it that is no product of variables: four letters or more, not in alphabetical order."""
    if text.strip(" .").lower() in _SHORT_WORDS:
        return True
    for word in re.findall(r"(?<![\\a-zA-Z])[A-Za-z]{4,}", re.sub(r"_\s*\{[^{}]*\}", "", text[:MAX_PROSE])):
        left = _KNOWN.sub("", word).lower()
        if len(left) >= 4 and re.search("[aeiou]", left) and list(left) != sorted(left) and len(set(left)) > 2:
            return True
    return False


def _letters(word: str) -> list[tuple[str, str]]:
    """A run of letters: known names where there are some, single variables otherwise."""
    if len(word) > MAX_WORD:
        raise Unreadable("a word without end")
    if word in _WORDS:
        return [("cmd", "\\" + word)]
    tokens: list[tuple[str, str]] = []
    while word:
        name = next((n for n in _BY_LENGTH if word.startswith(n)), None)
        if name and len(name) > 1:
            tokens.append(("cmd", "\\" + name))
            word = word[len(name) :]
        else:
            tokens.append(("sym", word[0]))
            word = word[1:]
    return tokens


_BY_LENGTH = sorted(
    (name for name in FUNCTIONS - {"max", "min", "fact"} | {"pi", "theta", "alpha", "lambda", "omega", "sigma"}),
    key=len,
    reverse=True,
)


_KNOWN = re.compile("|".join(sorted(_WORDS, key=len, reverse=True)))


def number(text: str) -> Tree:
    """A number literal with its value and, if it is a decimal, its significant digits."""
    mantissa, _, exponent = re.sub("E", "e", text).partition("e")
    whole, dot, decimals = mantissa.partition(".")
    digits = len((whole + decimals).lstrip("0")) or 1
    shift = (int(exponent) if exponent else 0) - len(decimals)
    if abs(shift) > 20_000:
        raise Unreadable("an exponent beyond all use")
    value = fmpq(fmpz((whole + decimals).lstrip("0") or "0"))
    value = value * fmpq(10) ** shift if shift else value
    return ("num", value, digits if dot or exponent else None)
