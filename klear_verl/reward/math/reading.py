# SPDX-License-Identifier: Apache-2.0
"""From the text of an answer to what it is (`answers.py`). What has no other reading is text.

The readers stand in the order in which they are tried: brackets and separators from the outside in, expressions last.
"""

from __future__ import annotations

import re
from fractions import Fraction

from klear_verl.reward.math import marked, matrices
from klear_verl.reward.math.answers import (
    Answer,
    Bracket,
    Combination,
    Matrix,
    Relation,
    Scalar,
    Sequence,
    Text,
)
from klear_verl.reward.math.brackets import depths_of, matching, split_top
from klear_verl.reward.math.names import is_name
from klear_verl.reward.math.notation import spelling
from klear_verl.reward.math.phrases import in_notation, without_scale
from klear_verl.reward.math.syntax import Tree, Unreadable, parse
from klear_verl.reward.math.tokens import is_prose
from klear_verl.reward.math.units import parse_unit, split_unit

MAX_ITEMS = 400
MAX_NESTING = 40

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
_MATRIX = re.compile(r"\\begin\{([pbvBV]?matrix|smallmatrix|array)\}(?:\{[lcr|]+\})?(.*)\\end\{\1\}", re.DOTALL)
_QUALIFIER = re.compile(
    r"\b(?:for (?:all|any|every|each|some|integers?|positive|nonnegative|real|constants?|odd|even|primes?)|where|with|"
    r"given that|such that|provided|if|when|whenever)\b"
)
_MEMBER = re.compile(r"[,;(]\s*[a-z]\s*\\in\s*\\mathbb\s*\{?\s*[ZNRQ]\s*\}?(?:\^\{?[+*]\}?)?\)?\s*$")
_HEADING = re.compile(
    r"^(?:\\text\{\s*)?(?:the\s+)?(?:domain|range|area|volume|perimeter|slope|distance|solution set)\s*:\s*\}?\s*", re.I
)
_BUILDER = re.compile(r"\s*[a-z]\s*(?:\\in\s*(?:\\mathbb\s*\{?\s*R\s*\}?|R)\s*)?[:|](.*)", re.DOTALL)
_CONNECT = re.compile(r"\\text\{\s*,?\s*(and|or)\s*,?\s*\}|(?<![A-Za-z\\])(and|or)(?![A-Za-z])", re.IGNORECASE)
MAX_DECIMAL = 60
_ENDLESS = re.compile(r"^(-?\d*\.\d*?)(?:(\d{1,2})\2{2,}|(\d{3,})\3+)\s*\\ldots\s*$")
"""0.1666…: a block that is written three times, or twice where it is long, repeats for ever."""
_GROUPED = r"-?\d{1,3}(?:,\d{3})*"
_THOUSANDS = re.compile(r"[-+]?\s*\d{1,3}(?:,\d{3})+(?:\.\d+)?")


def read(text: str) -> Answer:
    """The answer, read."""
    text = spelling(text)
    if max(depths_of(text), default=0) > MAX_NESTING:
        return Text(text)
    return _read(in_notation(_trim(text)))


def without_qualifier(answer: str) -> str:
    """The answer without a trailing "for all integers k", "where …"."""
    answer = _MEMBER.sub("", answer)
    match = _QUALIFIER.search(answer)
    if match is None:
        return _trim(answer)
    head = answer[: match.start()].rstrip(" ,;(").removesuffix("\\text{")
    return _trim(head.rstrip(" ,;("))


def _trim(text: str) -> str:
    text = text.strip()
    text = re.sub(r"^(?:the\s+)?(?:final\s+)?(?:answer|solution)\s*(?:is)?\s*[:=]\s*", "", text, flags=re.IGNORECASE)
    text = _HEADING.sub("", text)
    while True:
        trimmed = text.rstrip(" .,;:")
        if trimmed.endswith("\\"):
            # A command such as `\;` is no punctuation.
            trimmed = text[: len(trimmed) + 1]
        trimmed = trimmed.strip()
        if trimmed.startswith("{") and matching(trimmed, 0) == len(trimmed) - 1:
            trimmed = trimmed[1:-1].strip()
        whole = re.fullmatch(r"\\(?:boxed|fbox)\s*\{(.*)\}", trimmed, re.DOTALL)
        if whole and matching(trimmed, trimmed.index("{")) == len(trimmed) - 1:
            trimmed = whole.group(1).strip()
        if trimmed == text:
            return text
        text = trimmed


def _read(text: str) -> Answer:
    if not text:
        return Text("")
    for reader in (
        _matrix,
        marked.based,
        marked.clock,
        marked.measures,
        _french,
        _connected,
        _listed,
        _combined,
        _related,
        _bracketed,
        marked.choice,
        marked.ratio,
        _scalar,
    ):
        found = reader(text)
        if found is not None:
            return found
    return Text(text)


def _matrix(text: str) -> Answer | None:
    match = _MATRIX.fullmatch(text)
    if match is None:
        return _changed_matrix(text)
    if "\\begin" in match.group(2):
        return None
    body = re.sub(r"\\hline", "", match.group(2)).strip()
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\(?=\d)|\\cr(?![a-z])|\\(?=\s*-?\d)", body) if row.strip()]
    entries = tuple(tuple(read(entry) for entry in row.split("&")) for row in rows)
    found = Matrix(text, entries, match.group(1) in ("vmatrix", "Vmatrix"))
    if match.group(1) == "vmatrix" and (value := matrices.determinant(found)) is not None:
        return Scalar(text, value)
    return found


def _changed_matrix(text: str) -> Answer | None:
    """A matrix with a factor, transposed, or as a list of lists."""
    if re.match(r"\[\s*\[", text) and (listed := _bracketed(text)) is not None:
        rows = listed.items if isinstance(listed, Bracket) else ()
        if len(rows) > 1 and all(isinstance(row, Bracket) and row.opening == "[" for row in rows):
            return Matrix(text, tuple(row.items for row in rows if isinstance(row, Bracket)))
        return listed
    around = matrices.parts_around(text)
    found = _matrix(around[1]) if around else None
    if around is None or not isinstance(found, Matrix):
        return None
    factor, turned = _tree(around[0]) if around[0] else None, matrices.transposed(found) if around[2] else found
    if turned is None or (around[0] and factor is None):
        return None
    return turned if factor is None else matrices.scaled(turned, factor[0])


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
    depths = depths_of(text)
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
    if not items or any(isinstance(item, Text) for item in items) or len(items) > MAX_ITEMS:
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
        if separator == "," and re.fullmatch(rf"{_GROUPED}(?:, {_GROUPED})+", text):
            # A comma with a space separates, one without makes thousands.
            return Sequence(text, tuple(_read(part) for part in text.split(", ")))
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
    if not operators or len(parts) > MAX_ITEMS or any(not part.strip() for part in parts[1:-1]):
        return None
    if not parts[0].strip() and operators[0] in ("=", "\\approx", "\\sim") and len(parts) == 2:
        return _read(_trim(parts[1]))
    if not parts[0].strip() or not parts[-1].strip():
        return None
    if any(_is_sentence(part.strip()) for part in parts):
        return Text(text)
    return Relation(
        text, tuple(_trim(part) for part in parts), tuple(_OPERATOR.get(operator, operator) for operator in operators)
    )


def _is_sentence(text: str) -> bool:
    plain = re.sub(r"\\text\{|\}", "", text)
    return " " in plain and "\\" not in plain and is_prose(plain) and not is_name(text)


def _bracketed(text: str) -> Answer | None:
    opening = re.match(r"\\\{|[(\[]", text)
    closing = re.search(r"\\\}$|[)\]]$", text)
    if opening is None or closing is None:
        return None
    start = opening.end() - 1
    if matching(text, start) != len(text) - 1:
        return None
    inner = text[opening.end() : closing.start()]
    if opening.group(0) == "\\{" and re.search(r"[:|]", inner):
        built = _BUILDER.fullmatch(inner)
        condition = _read(_trim(built[1])) if built else None
        return (
            condition if isinstance(condition, (Relation, Sequence, Combination)) else Text(text.replace(":", "|", 1))
        )
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
    if len(items) > 1 and all(isinstance(item, Relation) and item.operators == ("=",) for item in items):
        return Sequence(text, items)
    return Bracket(text, opening.group(0).replace("\\", ""), items, closing.group(0).replace("\\", ""))


def _scalar(text: str) -> Answer | None:
    if _THOUSANDS.fullmatch(text) or re.fullmatch(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?", text):
        text = text.replace(",", "").replace(" ", "")
    original = text
    text = _ENDLESS.sub(r"\1\\overline{\2\3}", text) if len(text) < MAX_DECIMAL else text
    text = without_scale(text)
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
    warm = re.fullmatch(r"(.*\S)\s*\^\s*\{?\s*\\circ\s*\}?\s*(?:\\text\{\s*)?([CF])\s*\}?", text, re.DOTALL)
    if warm and (tree := _tree(warm[1])) is not None:
        return Scalar(original, tree[0], unit=((("temperature " + warm[2], 1),), Fraction(1)), other=tree[1])
    measured = split_unit(text)
    if measured is not None:
        tree = _tree(measured[0])
        if tree is not None:
            unit = parse_unit(measured[1])
            bare = unit is not None and dict(unit[0]).get("radian") == 1
            return Scalar(original, tree[0], unit=None if bare else unit, other=tree[1])
    tree = _tree(text)
    if tree is None:
        return None
    if tree[0][0] == "deg":
        return Scalar(original, tree[0][1], degrees=True)
    if tree[0][0] == "neg" and tree[0][1][0] == "deg":
        return Scalar(original, ("neg", tree[0][1][1]), degrees=True)
    return Scalar(original, tree[0], other=tree[1])


def _tree(text: str) -> tuple[Tree, Tree | None] | None:
    if is_prose(text):
        return None
    try:
        loose = parse(text)
    except Unreadable:
        return None
    if "/" not in text:
        return loose, None
    tight = parse(text, tight=True)
    return loose, tight if tight != loose else None
