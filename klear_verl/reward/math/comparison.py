# SPDX-License-Identifier: Apache-2.0
"""Whether an answer is the reference, by what the reference is (rules 4 to 11 of docs/concepts/math_judge.md).

Strict where a lenient rule would pay for guessing: alternatives, ± for one value, contradictory chains and supersets
are wrong. It extracts nothing and limits no time; sizes are bounded in `syntax` and `values`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence as Items
from dataclasses import replace

from klear_verl.reward.math import equality, values
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
from klear_verl.reward.math.assignments import (
    MIRROR,
    is_asked,
    is_function_name,
    names_of,
    oriented,
    rename_variable,
    same_up_to_factor,
    value_of,
)
from klear_verl.reward.math.names import argument_of, is_name, same_name
from klear_verl.reward.math.notation import characters, spelling, words
from klear_verl.reward.math.quantities import fixed, same_scalar, signs
from klear_verl.reward.math.reading import read, without_qualifier
from klear_verl.reward.math.regions import named_set, region_of, regions_equal
from klear_verl.reward.math.wording import same_letters, same_text, same_word


def same(reference: str, answer: str) -> bool:
    """Whether the answer is right."""
    left, right = spelling(reference), spelling(answer)
    if not right.strip():
        return False
    if characters(left) == characters(right) and characters(left):
        return True
    one, two = read(reference), read(answer)
    if same_answers(one, two):
        return True
    bare = without_qualifier(one.text), without_qualifier(two.text)
    if bare != (one.text, two.text) and all(bare) and not re.search(r"\bif\b|otherwise", one.text + two.text):
        return characters(bare[0]) == characters(bare[1]) or same_answers(read(bare[0]), read(bare[1]))
    return False


def same_answers(one: Answer, two: Answer) -> bool:
    """Whether `two` is `one`."""
    if one.text and characters(one.text) == characters(two.text):
        return True
    if isinstance(one, Bracket) and one.opening == "(" and re.match(r"[A-Z]\s*\(", two.text):
        # A point with its name: A(1, 2).
        return same_answers(one, read(two.text[1:]))
    if isinstance(one, Text) or isinstance(two, Text):
        return same_text(one, two) or same_letters(one.text, two.text) or _same_named_set(one, two)
    if same_word(one.text, two.text) or same_letters(one.text, two.text) or _same_named_set(one, two):
        return True
    if isinstance(one, Choice) or isinstance(two, Choice):
        return _same_choice(one, two)
    if (opened := _opened(one, two)) is not None:
        return opened
    if isinstance(one, Relation) or isinstance(two, Relation):
        return _same_relation(one, two)
    if isinstance(one, Combination) or isinstance(two, Combination):
        return _same_region(one, two)
    if isinstance(one, Sequence) or isinstance(two, Sequence):
        for listed, other in ((one, two), (two, one)):
            if isinstance(listed, Bracket) and listed.opening + listed.closing == "[]" and isinstance(other, Sequence):
                # Three or more in square brackets are a list, as programs print it.
                pairs = list(zip(listed.items, other.items, strict=False))
                return len(listed.items) == len(other.items) > 2 and all(same_answers(a, b) for a, b in pairs)
        return _same_items(_expanded(one), _expanded(two))
    if isinstance(one, Bracket) or isinstance(two, Bracket):
        return _same_bracket(one, two)
    if isinstance(one, Matrix) or isinstance(two, Matrix):
        return _same_matrix(one, two)
    if isinstance(one, Based) or isinstance(two, Based):
        return isinstance(one, Based) and isinstance(two, Based) and (one.digits, one.base) == (two.digits, two.base)
    if isinstance(one, Ratio) or isinstance(two, Ratio):
        return _same_ratio(one, two)
    assert isinstance(one, Scalar) and isinstance(two, Scalar)
    return same_scalar(one, two)


def _same_choice(one: Answer, two: Answer) -> bool:
    if isinstance(one, Choice) and isinstance(two, Choice):
        return one.letter == two.letter
    letter, other = (one, two) if isinstance(one, Choice) else (two, one)
    assert isinstance(letter, Choice)
    if letter.option:
        return same_answers(read(letter.option), other) or words(letter.option) == words(other.text)
    # A letter alone may be a variable.
    if isinstance(other, Scalar):
        return same_scalar(Scalar(letter.text, ("sym", letter.letter)), other)
    if isinstance(other, Relation):
        value = value_of(other)
        return isinstance(value, (Choice, Scalar)) and same_answers(letter, value)
    return False


# ---------------------------------------------------------------------- equations and inequalities


def _same_relation(one: Answer, two: Answer) -> bool:
    if isinstance(one, Relation) and isinstance(two, Relation):
        return _same_relations(one, two)
    relation, other = (one, two) if isinstance(one, Relation) else (two, one)
    assert isinstance(relation, Relation)
    if any(operator in ("<", ">", "<=", ">=", "!=", "notin") for operator in relation.operators):
        return _same_region(one, two)
    value = value_of(relation)
    if value is None:
        # "m + n = 13" for 13: what is asked for, and its value.
        if relation is one or not isinstance(one, Scalar) or relation.operators != ("=",) or not is_asked(relation):
            return False
        return not values.symbols(one.tree) and same_answers(one, read(relation.parts[1]))
    if (
        relation is two
        and isinstance(one, Scalar)
        and values.symbols(one.tree)
        and not is_function_name(relation.parts[0])
        and is_name(relation.parts[0]) is False
    ):
        return False
    if isinstance(value, Relation):
        return False
    return same_answers(value, other) if relation is one else same_answers(other, value)


def _same_relations(one: Relation, two: Relation) -> bool:
    if len(one.parts) == len(two.parts) == 2:
        left, right = oriented(one), oriented(two)
        named = one.operators == two.operators == ("=",) and is_name(left[0]) and is_name(right[0])
        if named and same_name(left[0], right[0]):
            renamed = rename_variable(right[1], argument_of(right[0]), argument_of(left[0]))
            if same_answers(read(left[1]), renamed):
                return True
        if one.operators == ("in",) and two.operators == ("in",):
            return same_answers(read(one.parts[1]), read(two.parts[1]))
        proportional = same_up_to_factor(one, two)
        if proportional is not None:
            return proportional
    if (
        "in" in one.operators
        or "in" in two.operators
        or set(one.operators + two.operators) & {"<", ">", "<=", ">=", "!="}
    ):
        return _same_region(one, two) or _same_chain(one, two)
    first, second = value_of(one), value_of(two)
    if first is None or second is None or isinstance(first, Relation) or isinstance(second, Relation):
        return False
    left_sides = [oriented(relation)[0] for relation in (one, two) if len(relation.parts) == 2]
    names = [name for name in left_sides if is_name(name)]
    if len(names) == 2 and not same_name(*names):
        return False
    return same_answers(first, second)


def _same_chain(one: Relation, two: Relation) -> bool:
    """f(2) < f(1) < f(4): part by part, read from either end."""
    for operators, parts in (
        (two.operators, two.parts),
        (tuple(MIRROR.get(o, o) for o in reversed(two.operators)), two.parts[::-1]),
    ):
        if one.operators == operators and all(
            same_answers(read(a), read(b)) for a, b in zip(one.parts, parts, strict=True)
        ):
            return True
    return False


# ---------------------------------------------------------------------- sets, lists, tuples, matrices


def _same_region(one: Answer, two: Answer) -> bool:
    left, right = region_of(one), region_of(two)
    if left is not None and right is not None:
        return regions_equal(left, right)
    if isinstance(one, Combination) and isinstance(two, Combination):
        return (
            one.operators == two.operators
            and len(one.parts) == len(two.parts)
            and (
                all(same_answers(a, b) for a, b in zip(one.parts, two.parts, strict=True))
                or (set(one.operators) <= {"\\cup"} and _matched(one.parts, two.parts))
            )
        )
    return False


def _same_named_set(one: Answer, two: Answer) -> bool:
    """All real numbers, or the empty set, however they are written."""
    return (named_set(one) or named_set(two)) and _same_region(one, two)


def _opened(one: Answer, two: Answer) -> bool | None:
    """Lists of assignments and of conditions, before all else; None if neither side is one."""
    for relation, other, flipped in ((one, two, False), (two, one, True)):
        if (
            isinstance(relation, Relation)
            and relation.operators == ("in",)
            and is_name(relation.parts[0])
            and not isinstance(other, Relation)
        ):
            value = read(relation.parts[1])
            return same_answers(other, value) if flipped else same_answers(value, other)
    if not isinstance(one, Sequence) and not isinstance(two, Sequence):
        return None
    sides = [_conditions(one), _conditions(two)]
    if all(side is not None for side in sides):
        regions = [region_of(one), region_of(two)]
        if all(region is not None for region in regions):
            return regions_equal(*regions)  # type: ignore[arg-type]
    named = [names_of(one), names_of(two)]
    if named[0] is not None and named[1] is not None:
        if set(named[0]) == set(named[1]):
            return all(same_answers(named[0][name], named[1][name]) for name in named[0])
        return False
    for names, other in ((named[0], two), (named[1], one)):
        if names is not None and len(names) > 1:
            point = isinstance(other, Sequence) or (isinstance(other, Bracket) and other.opening == "(")
            items = list(other.items) if isinstance(other, (Sequence, Bracket)) and point else []
            in_order = list(names.values())
            if len(items) == len(in_order) and not any(isinstance(item, (Sequence, Bracket)) for item in items):
                first, second = (in_order, items) if names is named[0] else (items, in_order)
                return all(same_answers(a, b) for a, b in zip(first, second, strict=True))
    return None


def _conditions(answer: Answer) -> bool | None:
    items = answer.items if isinstance(answer, Sequence) else [answer]
    strict = any(isinstance(item, Relation) and set(item.operators) & {"<", ">", "<=", ">=", "!="} for item in items)
    return True if strict or isinstance(answer, (Bracket, Combination)) else None


def _expanded(answer: Answer) -> list[Answer]:
    """The items of an unordered list: ± as two, assignments as their values, groups of assignments as tuples."""
    items: list[Answer] = []
    source = answer.items if isinstance(answer, Sequence) else (answer,)
    if isinstance(answer, Bracket) and answer.opening == "{":
        source = answer.items
    for item in source:
        if isinstance(item, Sequence):
            named = names_of(item)
            if named is not None and len(named) > 1:
                items.append(Bracket("", "(", tuple(named.values()), ")"))
                continue
            items += _expanded(item)
            continue
        if isinstance(item, Relation):
            # A named function stays named where several names occur.
            value = value_of(item)
            if value is not None:
                if isinstance(value, (Sequence,)) or (isinstance(value, Bracket) and value.opening == "{"):
                    items += _expanded(value)
                    continue
                item = value if not _several_names(source) else item
        if isinstance(item, Scalar) and len(signs(item.tree)) == 2:
            items += [replace(item, text="", tree=fixed(item.tree, sign), other=None) for sign in (1, -1)]
        elif isinstance(item, Bracket) and any(
            isinstance(part, Scalar) and len(signs(part.tree)) == 2 for part in item.items
        ):
            for sign in (1, -1):
                parts = tuple(
                    replace(part, text="", tree=fixed(part.tree, sign), other=None)
                    if isinstance(part, Scalar)
                    else part
                    for part in item.items
                )
                items.append(replace(item, text="", items=parts))
        else:
            items.append(item)
    return items


def _several_names(items: Items[Answer]) -> bool:
    names = {characters(item.parts[0]) for item in items if isinstance(item, Relation) and is_name(item.parts[0])}
    bases = {re.sub(r"_\{?\w+\}?$", "", name) for name in names}
    return len(bases) > 1


def _same_items(one: list[Answer], two: list[Answer]) -> bool:
    if len(one) != len(two):
        return False
    if any(item.text.startswith("\\ldots") for item in [*one, *two]):
        return all(same_answers(a, b) for a, b in zip(one, two, strict=True))
    return _matched(one, two)


def _matched(one: Items[Answer], two: Items[Answer]) -> bool:
    """Whether the items pair off, each with one that it equals (equality is transitive, so greedily)."""
    left = list(two)
    if len(one) != len(left):
        return False
    for item in one:
        place = next(
            (
                index
                for index, other in enumerate(left)
                if _is_set(item) == _is_set(other) and same_answers(item, other)
            ),
            None,
        )
        if place is None:
            return False
        del left[place]
    return True


def _same_bracket(one: Answer, two: Answer) -> bool:
    if isinstance(one, Bracket) and isinstance(two, Bracket):
        pair = {one.opening + one.closing, two.opening + two.closing}
        if "{}" in pair:
            if pair != {"{}"}:
                return False
            return _same_items(_unique(_expanded(one)), _unique(_expanded(two)))
        if len(one.items) == len(two.items) == 2 and pair <= {"()", "[]", "(]", "[)"} and len(pair) == 2:
            return False
        if len(pair) != 1 and pair != {"()", "[]"}:
            return False
        return len(one.items) == len(two.items) and all(
            same_answers(a, b) for a, b in zip(one.items, two.items, strict=True)
        )
    bracket, other = (one, two) if isinstance(one, Bracket) else (two, one)
    assert isinstance(bracket, Bracket)
    if len(bracket.items) == 1:
        return same_answers(bracket.items[0], other) if bracket is one else same_answers(other, bracket.items[0])
    if bracket.opening == "{" and isinstance(other, Scalar):
        return _same_items(_unique(_expanded(bracket)), _expanded(other)) and len(signs(other.tree)) == 2
    if isinstance(other, Matrix):
        column = (
            [row[0] for row in other.rows]
            if all(len(row) == 1 for row in other.rows)
            else list(other.rows[0])
            if len(other.rows) == 1
            else []
        )
        return len(column) == len(bracket.items) and all(
            same_answers(a, b) for a, b in zip(bracket.items, column, strict=True)
        )
    return False


def _is_set(item: Answer) -> bool:
    """Inside a list, a set of one member is not its member."""
    return isinstance(item, Bracket) and item.opening == "{"


def _unique(items: list[Answer]) -> list[Answer]:
    """A set counts each element once."""
    kept: list[Answer] = []
    for item in items:
        if not any(same_answers(item, other) for other in kept):
            kept.append(item)
    return kept


def _same_matrix(one: Answer, two: Answer) -> bool:
    if not (isinstance(one, Matrix) and isinstance(two, Matrix)) or one.determinant != two.determinant:
        return False
    left, right = one.rows, two.rows
    return [len(row) for row in left] == [len(row) for row in right] and all(
        same_answers(a, b) for rows in zip(left, right, strict=True) for a, b in zip(*rows, strict=True)
    )


def _same_ratio(one: Answer, two: Answer) -> bool:
    if isinstance(one, Ratio) and isinstance(two, Ratio):
        if one.minutes is not None and two.minutes is not None:
            # Two times of day; 3:00 and 4:00 are not in proportion.
            return one.minutes == two.minutes
        if len(one.parts) != len(two.parts):
            return False
        return all(
            equality.equal(("mul", [one.parts[0], b]), ("mul", [two.parts[0], a]))
            for a, b in zip(one.parts[1:], two.parts[1:], strict=True)
        )
    ratio, other = (one, two) if isinstance(one, Ratio) else (two, one)
    assert isinstance(ratio, Ratio)
    if len(ratio.parts) == 2 and isinstance(other, Scalar):
        return equality.equal(("div", *ratio.parts), other.tree)
    return False
