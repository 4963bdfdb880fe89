# SPDX-License-Identifier: Apache-2.0
"""Values survive the trip out of the child; what is not a plain value does not start it; hostile bytes only give
values or ValueError.
"""

from __future__ import annotations

import collections
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.judge.zygote.values import MAX_DEPTH, decode, encode

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers() | st.booleans(), inner, max_size=4)
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


def test_tuple_comes_back_as_list() -> None:
    assert decode(encode((1, (2,)))) == [1, [2]]


def test_nan_and_infinities_come_back() -> None:
    assert repr(decode(encode([float("nan"), float("inf"), -0.0]))) == "[nan, inf, -0.0]"


@pytest.mark.parametrize(
    "value",
    [
        {1},
        pytest.param(object(), id="object"),
        b"x",
        1j,
        type("I", (int,), {})(1),
        type("S", (str,), {})("x"),
        type("L", (list,), {})(),
        collections.OrderedDict(),
        [[collections.Counter()]],
        len,
    ],
    ids=repr,
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


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_give_a_plain_value_or_value_error(data: bytes) -> None:
    try:
        value = decode(data)
    except ValueError:
        return
    encode(value)


@given(plain.map(lambda value: json.dumps(value, default=str).encode()))
def test_any_json_gives_a_plain_value_or_value_error(data: bytes) -> None:
    try:
        decode(data)
    except ValueError:
        return


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
