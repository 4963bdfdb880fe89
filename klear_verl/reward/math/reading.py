# SPDX-License-Identifier: Apache-2.0
"""From the text of an answer to what it is (`answers.py`). What has no other reading is text.

The readers stand in the order in which they are tried: brackets and separators from the outside in, expressions last.
"""

from __future__ import annotations

import re

from klear_verl.reward.math.answers import (
    Answer,
    Based,
    Bracket,
    Choice,
    Combination,
    Matrix,
    Ratio,
    Relation,
    Scalar,
    Sequence,
    Text,
)
from klear_verl.reward.math.names import is_name
from klear_verl.reward.math.notation import spelling
from klear_verl.reward.math.syntax import Tree, Unreadable, parse
from klear_verl.reward.math.units import parse_unit, split_unit

MAX_ITEMS = 400
MAX_NESTING = 40

_OPEN, _CLOSE = "([{", ")]}"
_RELATIONS = re.compile(r"\\(?:le|ge|ne|approx|in|notin|sim)(?![a-zA-Z])|[<>=]=?")
_OPERATOR = {
    "\\le": "<=",
    "\\ge": ">=",
    "\\ne": "!=",
    "\\approx": "~",
    "\\sim": "~",
    "\\in": "in",
    "\\notin": "notin",
    "==": "=",
}
_SETS = re.compile(r"\\(?:cup|cap|setminus)(?![a-zA-Z])")
_MATRIX = re.compile(r"\\begin\{([pbvBV]?matrix|array)\}(?:\{[lcr|]+\})?(.*)\\end\{\1\}", re.DOTALL)
_BASED = re.compile(
    r"(?:\\text\{\s*)?(-?[0-9][0-9A-Za-z]*(?:\.\d+)?)\s*\}?_\s*\{?\s*(?:\\text\{)?\s*(\d{1,2})\s*\}{0,2}"
)
_CLOCK = re.compile(r"(\d{1,2})\s*:\s*(\d{2})(?:\s*(?:\\text\{)?\s*([aApP])\.?\s*[mM]\.?\s*\}?)?")
_CHOICE = re.compile(
    r"(?:\\text\{)?\s*(?:(?:option|choice|answer)\s*(?:is)?\s*)?(?:\\text\{)?\s*(\()?\s*([A-J])\s*(\))?\s*\}?\s*"
    r"([.:)]?)\s*(.*)",
    re.DOTALL | re.IGNORECASE,
)
_QUALIFIER = re.compile(
    r"[\s,;]*\(?\s*(?:\\text\{)?\s*[,(]?\s*\b(?:for (?:all|any|every|each|some)|where|with|given that|such that|"
    r"provided|if|when|whenever)\b.*$",
    re.DOTALL,
)
_CONNECT = re.compile(r"\\text\{\s*,?\s*(and|or)\s*,?\s*\}|(?<![A-Za-z\\])(and|or)(?![A-Za-z])", re.IGNORECASE)
_THOUSANDS = re.compile(r"[-+]?\s*\d{1,3}(?:,\d{3})+(?:\.\d+)?")


def read(text: str) -> Answer:
    """The answer, read."""
    text = spelling(text)
    if max(_depths(text), default=0) > MAX_NESTING:
        return Text(text)
    return _read(_trim(text))


def without_qualifier(answer: str) -> str:
    """The answer without a trailing "for all integers k", "where …"."""
    return _trim(_QUALIFIER.sub("", answer))


def _trim(text: str) -> str:
    text = text.strip()
    text = re.sub(r"^(?:the\s+)?(?:final\s+)?(?:answer|solution)\s*(?:is)?\s*[:=]\s*", "", text, flags=re.IGNORECASE)
    while True:
        trimmed = re.sub(r"(?<!\\)[.,;:]$", "", text.strip()).strip()
        if trimmed.startswith("{") and _matching(trimmed, 0) == len(trimmed) - 1:
            trimmed = trimmed[1:-1].strip()
        whole = re.fullmatch(r"\\f?boxed\s*\{(.*)\}", trimmed, re.DOTALL)
        if whole and _matching(trimmed, trimmed.index("{")) == len(trimmed) - 1:
            trimmed = whole.group(1).strip()
        if trimmed == text:
            return text
        text = trimmed


def _matching(text: str, opening: int) -> int | None:
    depth = 0
    for index in range(opening, len(text)):
        if text[index] in _OPEN:
            depth += 1
        elif text[index] in _CLOSE:
            depth -= 1
            if depth == 0:
                return index
    return None


def _depths(text: str) -> list[int]:
    """For each character how many brackets it stands in."""
    depths, depth = [], 0
    for character in text:
        if character in _CLOSE:
            depth -= 1
        depths.append(depth)
        if character in _OPEN:
            depth += 1
    return depths


def split_top(text: str, pattern: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """(parts, separators) of the text split where `pattern` stands outside all brackets."""
    depths = _depths(text)
    parts, separators, start = [], [], 0
    for match in pattern.finditer(text):
        if depths[match.start()] == 0 and match.start() >= start:
            parts.append(text[start : match.start()])
            separators.append(match.group(0))
            start = match.end()
    return [*parts, text[start:]], separators


def _read(text: str) -> Answer:
    if not text:
        return Text("")
    for reader in (
        _matrix,
        _based,
        _clock,
        _french,
        _connected,
        _listed,
        _combined,
        _related,
        _bracketed,
        _choice,
        _ratio,
        _scalar,
    ):
        found = reader(text)
        if found is not None:
            return found
    return Text(text)


def _matrix(text: str) -> Answer | None:
    match = _MATRIX.fullmatch(text)
    if match is None or "\\begin" in match.group(2):
        return None
    body = re.sub(r"\\hline", "", match.group(2)).strip()
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\(?=\d)|\\cr(?![a-z])|\\(?=\s*-?\d)", body) if row.strip()]
    entries = tuple(tuple(read(entry) for entry in row.split("&")) for row in rows)
    return Matrix(text, entries, match.group(1) in ("vmatrix", "Vmatrix"))


def _based(text: str) -> Answer | None:
    match = _BASED.fullmatch(text)
    if match is None or not 2 <= int(match.group(2)) <= 36:
        return None
    return Based(text, match.group(1).upper(), int(match.group(2)))


def _clock(text: str) -> Answer | None:
    match = _CLOCK.fullmatch(text)
    if match is None or int(match.group(2)) > 59 or int(match.group(1)) > 24:
        return None
    hours, minutes, half = int(match.group(1)), int(match.group(2)), (match.group(3) or "").lower()
    trees = (("num", parse(match.group(1))[1], None), ("num", parse(match.group(2))[1], None))
    hours = hours % 12 + (12 if half == "p" else 0) if half else hours
    return Ratio(text, trees, hours * 60 + minutes, bool(half))


def _french(text: str) -> Answer | None:
    """]a, b[ is the open interval, as in French."""
    match = re.fullmatch(r"([\]\[])([^\[\](){}]*|[^\[\]]*)([\]\[])", text, re.DOTALL)
    if match is None or (match.group(1), match.group(3)) == ("[", "]"):
        return None
    items = re.split(r"[;,]", match.group(2))
    if len(items) != 2:
        return None
    opening = "(" if match.group(1) == "]" else "["
    return Bracket(text, opening, tuple(_read(_trim(item)) for item in items), ")" if match.group(3) == "[" else "]")


def _connected(text: str) -> Answer | None:
    """`a and b`, `a or b`: several answers, or one condition made of two."""
    if not re.search(r"\b(?:and|or)\b", text, re.IGNORECASE):
        return None
    depths = _depths(text)
    parts, words_, start = [], [], 0
    for match in _CONNECT.finditer(text):
        inside_text = match.group(1) is None and depths[match.start()] != 0
        if not inside_text and depths[match.start()] == 0 and match.start() >= start:
            parts.append(text[start : match.start()])
            words_.append((match.group(1) or match.group(2)).lower())
            start = match.end()
    if not words_:
        return None
    parts.append(text[start:])
    items: list[Answer] = []
    for part in parts:
        part = _trim(part.strip().strip(",").strip())
        if not part:
            continue
        item = _read(part)
        items += (
            item.items if isinstance(item, Sequence) and item.joined_by == "," and not _assignments(item) else [item]
        )
    if any(isinstance(item, Text) for item in items) or len(items) > MAX_ITEMS:
        return Text(text)
    if len(items) == 1:
        return items[0]
    return Sequence(text, tuple(items), "or" if "or" in words_ else "and")


def _assignments(item: Sequence) -> bool:
    return all(isinstance(part, Relation) for part in item.items)


def _listed(text: str) -> Answer | None:
    """Semicolons, then commas, outside all brackets."""
    for separator in (";", ","):
        if separator not in text:
            continue
        if separator == "," and _THOUSANDS.fullmatch(text):
            return None
        parts, found = split_top(text, re.compile(re.escape(separator) + r"(?:\s*\\quad)?"))
        if not found:
            continue
        if (
            separator == ","
            and all(re.fullmatch(r"\s*\d{3}(?:\D.*)?", part, re.DOTALL) for part in parts[1:])
            and re.fullmatch(r".*(?<!\d)\d{1,3}", parts[0], re.DOTALL)
            and not re.search(r",\s", text)
        ):
            # 1,234 cm: thousands with something around them.
            return None
        if (
            separator == ","
            and len(parts) == 2
            and re.fullmatch(r"\s*(?:\\text\{)?\s*(?:where|for|with|if)\b.*", parts[1], re.DOTALL | re.IGNORECASE)
        ):
            return None
        if len(parts) > MAX_ITEMS:
            return Text(text)
        trimmed = [_trim(part) for part in parts if part.strip()]
        items = tuple(_read(part) for part in trimmed)
        if any(
            isinstance(item, Text) and item.text not in ("\\ldots",) and not item.text.startswith("\\ldots")
            for item in items
        ):
            return None if separator == "," and len(items) == 1 else Text(text)
        return items[0] if len(items) == 1 else Sequence(text, items, ",")
    return None


def _combined(text: str) -> Answer | None:
    parts, operators = split_top(text, _SETS)
    if not operators:
        if re.search(r"\)\s*U\s*\(|\]\s*U\s*\[|\)\s*U\s*\[|\]\s*U\s*\(", text):
            return _combined(re.sub(r"([)\]])\s*U\s*([(\[])", r"\1 \\cup \2", text))
        return None
    head, relation = split_top(parts[0], re.compile(r"\\in(?![a-zA-Z])"))
    if relation and is_name(head[0]):
        parts[0] = head[1]
    return Combination(text, tuple(_read(_trim(part)) for part in parts), tuple(operators))


def _related(text: str) -> Answer | None:
    parts, operators = split_top(text, _RELATIONS)
    if not operators or any(not part.strip() for part in parts[1:-1]):
        return None
    if not parts[0].strip() and operators[0] in ("=", "\\approx", "\\sim") and len(parts) == 2:
        return _read(_trim(parts[1]))
    if not parts[0].strip() or not parts[-1].strip():
        return None
    return Relation(
        text, tuple(_trim(part) for part in parts), tuple(_OPERATOR.get(operator, operator) for operator in operators)
    )


def _bracketed(text: str) -> Answer | None:
    opening = re.match(r"\\\{|[(\[]", text)
    closing = re.search(r"\\\}$|[)\]]$", text)
    if opening is None or closing is None:
        return None
    start = opening.end() - 1
    if _matching(text, start) != len(text) - 1:
        return None
    inner = text[opening.end() : closing.start()]
    if opening.group(0) == "\\{" and re.search(r":|\\in|\|", inner) and not re.fullmatch(r"[^:|]*", inner):
        return Text(text)
    parts, separators = split_top(inner, re.compile(r"[;,]"))
    if _THOUSANDS.fullmatch(inner.strip()) and opening.group(0) == "(":
        parts = [inner]
    items = tuple(_read(_trim(part)) for part in parts)
    if len(items) == 1 and isinstance(items[0], Sequence):
        items = items[0].items
    if opening.group(0) == "(" and len(items) == 1 and not separators:
        if isinstance(items[0], (Scalar, Text)):
            return None
        return items[0]
    if any(isinstance(item, Text) and not item.text.startswith("\\ldots") for item in items):
        return Text(text) if len(items) > 1 or opening.group(0) != "(" else None
    return Bracket(text, opening.group(0).replace("\\", ""), items, closing.group(0).replace("\\", ""))


def _choice(text: str) -> Answer | None:
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


def _ratio(text: str) -> Answer | None:
    if ":" not in text:
        return None
    parts, separators = split_top(text, re.compile(":"))
    if not separators:
        return None
    try:
        return Ratio(text, tuple(parse(part) for part in parts))
    except Unreadable:
        return None


def _scalar(text: str) -> Answer | None:
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    original = text
    text = re.sub(r"(?<![\d,])(\d{1,3}(?:,\d{3})+)(?![\d,])", lambda match: match.group(1).replace(",", ""), text)
    text = re.sub(r"\s*\(?(?:\\text\{)?\s*\(?(?:approx(?:imately|\.)?|rounded|about)\)?\s*\}?\)?\s*", " ", text).strip()
    percent = re.fullmatch(r"(.*?\S)\s*(?:%|(?:\\text\{)?\s*(?:percent|pct|per cent)\.?\s*\}?)", text, re.DOTALL)
    if percent:
        tree = _tree(percent.group(1))
        return None if tree is None else Scalar(original, tree[0], percent=True, other=tree[1])
    degrees = re.fullmatch(r"(.*?\S)\s*(?:\\text\{)?\s*(?:degrees?|deg)\s*\}?", text, re.DOTALL)
    if degrees:
        tree = _tree(degrees.group(1))
        return None if tree is None else Scalar(original, tree[0], degrees=True, other=tree[1])
    measured = split_unit(text)
    if measured is not None:
        tree = _tree(measured[0])
        if tree is not None:
            return Scalar(original, tree[0], unit=parse_unit(measured[1]), other=tree[1])
    tree = _tree(text)
    if tree is None:
        return None
    if tree[0][0] == "deg":
        return Scalar(original, tree[0][1], degrees=True)
    if tree[0][0] == "neg" and tree[0][1][0] == "deg":
        return Scalar(original, ("neg", tree[0][1][1]), degrees=True)
    return Scalar(original, tree[0], other=tree[1])


def _tree(text: str) -> tuple[Tree, Tree | None] | None:
    try:
        loose = parse(text)
    except Unreadable:
        return None
    if "/" not in text:
        return loose, None
    tight = parse(text, tight=True)
    return loose, tight if tight != loose else None
