# SPDX-License-Identifier: Apache-2.0
"""Equations and inequalities: what an assignment says, which side is a name, and which are one up to a factor."""

from __future__ import annotations

import re
from collections.abc import Sequence as Items
from dataclasses import replace

from klear_verl.reward.math import equality, values
from klear_verl.reward.math.answers import Answer, Relation, Scalar, Sequence
from klear_verl.reward.math.names import argument_of, is_name
from klear_verl.reward.math.notation import characters
from klear_verl.reward.math.quantities import same_scalar
from klear_verl.reward.math.reading import read
from klear_verl.reward.math.syntax import Tree, Unreadable, parse


def value_of(relation: Relation) -> Answer | None:
    """What an assignment or a chain says: 4 of `x = 4`, of `2 + 2 = 4` and of `2 = x` … ; None if it contradicts itself
    or is an equation."""
    if any(operator not in ("=", "~", "in") for operator in relation.operators):
        return None
    parts, operators = list(relation.parts), list(relation.operators)
    if "in" in operators:
        return read(parts[1]) if operators == ["in"] and is_name(parts[0]) else None
    if len(parts) == 2 and is_name(parts[1]) and not is_name(parts[0]) and operators == ["="]:
        parts.reverse()
    while len(parts) > 1 and is_name(parts[0]):
        parts.pop(0)
        operators.pop(0)
    if len(parts) == 1:
        return read(parts[0])
    if operators[-1] == "~":
        # The exact value first, its rounding second.
        parts.pop()
        operators.pop()
        if not operators:
            return read(parts[0])
    read_parts = [read(part) for part in parts]
    valued = [
        part
        for part in read_parts
        if isinstance(part, Scalar) and not values.symbols(part.tree) and not values.is_endless(part.tree)
    ]
    if len(valued) < 2 and not (valued and valued[-1] is read_parts[-1] and _without_value(parts[:-1])):
        # One more kind: a chain of expressions in variables, all the same.
        scalars = [part for part in read_parts if isinstance(part, Scalar)]
        if len(scalars) == len(read_parts) and all(same_scalar(scalars[0], other) for other in scalars[1:]):
            return scalars[-1]
        return None
    if any(not same_scalar(valued[-1], other) for other in valued[:-1]):
        return None
    return valued[-1]


def _without_value(parts: Items[str]) -> bool:
    """Whether the parts are notation for a value that we do not compute: a limit, an integral, a determinant."""
    return all(re.search(r"\\(?:lim|int|begin|sum|prod|det)(?![a-zA-Z])", part) for part in parts)


def is_asked(relation: Relation) -> bool:
    """Whether the left side is what a question asks for: variables joined without numbers, such as m + n or |z|."""
    left = re.sub(r"[_^]\s*(?:\{[^{}]*\}|\w)", "", relation.parts[0])
    return len(relation.parts) == 2 and bool(re.search("[A-Za-z]", left)) and not re.search(r"\d|\\text", left)


def is_function_name(name: str) -> bool:
    """f(x), a_n, y."""
    return argument_of(name) is not None or name.strip() == "y"


def oriented(relation: Relation) -> tuple[str, str]:
    left, right = relation.parts
    return (right, left) if is_name(right) and not is_name(left) else (left, right)


def rename_variable(text: str, old: str | None, new: str | None) -> Answer:
    answer = read(text)
    if old and new and old != new and isinstance(answer, Scalar):
        return replace(answer, text="", tree=_rename(answer.tree, old, new), other=None)
    return answer


def _rename(tree: Tree, old: str, new: str) -> Tree:
    if tree[0] == "sym":
        return ("sym", new) if tree[1] == old else tree
    return tuple(
        [_rename(child, old, new) if isinstance(child, tuple) else child for child in part]
        if isinstance(part, list)
        else _rename(part, old, new)
        if isinstance(part, tuple)
        else part
        for part in tree
    )


MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


def same_up_to_factor(one: Relation, two: Relation) -> bool | None:
    """Equations and single inequalities up to a constant factor; None if this is not decidable this way."""
    (first,), (second,) = one.operators, two.operators
    if first not in MIRROR or second not in MIRROR:
        return None
    differences = []
    for relation in (one, two):
        try:
            left, right = parse(relation.parts[0]), parse(relation.parts[1])
        except Unreadable:
            return None
        if {"pm"} & set(values.kinds(left)) | {"pm"} & set(values.kinds(right)):
            return None
        differences.append(("add", [left, ("neg", right)]))
    sign = equality.proportional(*differences)
    if sign == 0:
        return None
    return first == (second if sign > 0 else MIRROR[second])


def names_of(answer: Answer) -> dict[str, Answer] | None:
    """name → value, of `a_3 = 2, a_{37} = 19`; None if the names repeat or not all items are assignments."""
    if not isinstance(answer, Sequence):
        return None
    found: dict[str, Answer] = {}
    for item in answer.items:
        if not isinstance(item, Relation) or item.operators not in (("=",), ("~",)):
            return None
        name, value = oriented(item)
        if not is_name(name) or characters(name) in found:
            return None
        found[characters(name)] = read(value)
    return found
