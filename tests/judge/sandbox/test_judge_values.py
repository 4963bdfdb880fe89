# SPDX-License-Identifier: Apache-2.0
"""Values survive the trip out of the child, by content; what has none that is plain does not start it; hostile bytes
only give values or ValueError, and soon.
"""

from __future__ import annotations

import collections
import contextlib
import enum
import fractions
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.judge.sandbox.zygote.values import MAX_DEPTH, decode, encode

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
scalars |= st.binary() | st.complex_numbers(allow_nan=False)
keys = scalars | st.tuples(scalars) | st.frozensets(scalars, max_size=1)
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.sets(keys, max_size=1)
    ),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)


@given(plain)
def test_plain_value_comes_back_with_its_types(value: Any) -> None:
    assert same(decode(encode(value)), value)


@given(st.integers(min_value=1 << 63))
def test_integers_of_any_size_come_back(value: int) -> None:
    assert decode(encode([value, -value])) == [value, -value]


def test_nan_and_infinities_come_back() -> None:
    assert repr(decode(encode([float("nan"), float("inf"), -0.0]))) == "[nan, inf, -0.0]"


class Evil:
    """What a solution would put on a subclass, so that a comparison calls it."""

    def lie(self, *args: Any, **kwargs: Any) -> Any:
        pytest.fail("a method of the value's own class was run")

    __eq__ = __hash__ = __iter__ = __len__ = __getitem__ = __repr__ = __str__ = __int__ = __float__ = lie  # type: ignore
    __index__ = __pos__ = __bool__ = __reduce_ex__ = items = keys = hex = lie


def evil(base: type, *args: Any) -> Any:
    return type("Evil", (Evil, base), {})(*args)


Colour = enum.IntEnum("Colour", ["RED"])
Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (evil(int, 3), 3),
        (evil(float, 0.5), 0.5),
        (evil(str, "x"), "x"),
        (evil(bytes, b"x"), b"x"),
        (evil(list, [1]), [1]),
        (evil(tuple, (1,)), (1,)),
        (evil(dict, {1: 2}), {1: 2}),
        (evil(set, {1}), {1}),
        (evil(frozenset, {1}), frozenset({1})),
        (Colour.RED, 1),
        (Point(1, 2), (1, 2)),
        (collections.Counter("a"), {"a": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (bytearray(b"x"), b"x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_subclass_comes_back_as_what_it_holds_without_a_method_of_its_being_run(value: Any, content: Any) -> None:
    assert same(decode(encode(value)), content)
    assert same(decode(encode([value])), [content])


@pytest.mark.parametrize(
    "value",
    [
        object(),
        len,
        type,
        fractions.Fraction(1, 2),
        collections.deque([1]),
        range(3),
        iter([]),
        (x for x in ()),
        [[len]],
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_of_any_other_type_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="can't be compared"):
        encode(value)


def test_depth_is_bounded() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert decode(encode(value)) == value
    with pytest.raises(ValueError, match="nested deeper"):
        encode([value])


fragments = st.sampled_from(
    [*'{}[]:,"', '"d"', '"s"', '"t"', '"i"', '"f"', '"x"', '"0x1p0"', "1", "null", "NaN", '"z"']
)


@given(st.binary() | st.text().map(str.encode) | st.lists(fragments).map("".join).map(str.encode))
def test_any_bytes_give_a_plain_value_or_value_error(data: bytes) -> None:
    try:
        value = decode(data)
    except ValueError:
        return
    encode(value)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"d":[[[],1]]}',
        b'{"d":[[1]]}',
        b'{"f":"x"}',
        b'{"i":"' + b"z" * 9 + b'"}',
        b"1" * 5000,
        b"[1," * (4 << 20),
    ],
)
def test_hostile_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)


tagged = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("fibcxtdsz?"), inner, max_size=2),
    max_leaves=12,
)


@given(tagged)
def test_any_tags_give_a_plain_value_or_value_error(packed: Any) -> None:
    try:
        value = decode(json.dumps(packed).encode())
    except ValueError:
        return
    encode(value)


def colliding(count: int) -> list[dict[str, str]]:
    """Integers with the same hash: Python's is the remainder by the Mersenne prime 2^61 - 1."""
    return [{"i": hex(number * (2**61 - 1))} for number in range(1, count)]


@pytest.mark.parametrize(
    "packed",
    [
        {"d": [[key, 1] for key in colliding(40_000)]},
        {"s": [{"t": [key]} for key in colliding(40_000)]},
        {"s": [{"t": [1] * 50 + [key]} for key in colliding(40_000)]},
        {"s": [{"z": [key]} for key in colliding(40_000)]},
        {"s": [{"f": float(number).hex()} for number in range(10_000)]},
        {"s": ["x" * (number % 7) + str(number) for number in range(100_000)]},
    ],
    ids=["integers", "tuples", "long tuples", "sets", "numbers", "text"],
)
def test_keys_made_to_collide_keep_nobody_busy(packed: Any) -> None:
    data = json.dumps(packed).encode()
    started = time.process_time()
    with contextlib.suppress(ValueError):
        decode(data)
    assert time.process_time() - started < 10  # comparing each key with each takes 18 s and more
