# SPDX-License-Identifier: Apache-2.0
"""Plain values as bytes, by exact type, so that no method of a solution's class ever runs where values are compared.

Encoded are None, bool, int, float, str, list, tuple (as list) and dict, nothing else and no subclass. `encode` runs in
the child; `decode` in the supervisor, on bytes that a hostile program may have written: any bytes at all give a plain
value or ValueError.
"""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 100
MAX_NODES = 1_000_000
_SAFE_INT = 1 << 64


def encode(value: Any) -> bytes:
    """Encodes `value`.

    Raises:
        TypeError: a type that is not plain (the message names it).
        ValueError: deeper than MAX_DEPTH, or more than MAX_NODES values.
    """
    left = [MAX_NODES]
    return json.dumps(_pack(value, MAX_DEPTH, left), separators=(",", ":")).encode("ascii")


def _pack(value: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0:
        raise ValueError("the value is too large")
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        # Tagged, because reading a long decimal number is quadratic and capped by Python itself.
        return value if -_SAFE_INT < value < _SAFE_INT else {"i": hex(value)}
    if kind is float:
        return {"f": value.hex()}
    if depth == 0:
        raise ValueError(f"the value is nested deeper than {MAX_DEPTH}")
    if kind is list or kind is tuple:
        return [_pack(item, depth - 1, left) for item in value]
    if kind is dict:
        return {"d": [[_pack(key, depth - 1, left), _pack(item, depth - 1, left)] for key, item in value.items()]}
    raise TypeError(f"a value of type {kind.__name__!r} can't be compared")


def decode(data: bytes) -> Any:
    """Decodes bytes of `encode`.

    Raises:
        ValueError: these bytes are none of `encode`'s.
    """
    # Bounds the memory that decoding can take, before any is taken.
    if sum(map(data.count, (b",", b"[", b"{"))) > 3 * MAX_NODES:
        raise ValueError("the value is too large")
    try:
        return _unpack(json.loads(data))
    except (RecursionError, TypeError, OverflowError, UnicodeDecodeError) as error:
        raise ValueError(f"not an encoded value: {error}") from error


def _unpack(packed: Any) -> Any:
    if isinstance(packed, list):
        return [_unpack(item) for item in packed]
    if not isinstance(packed, dict):
        return packed
    ((tag, body),) = packed.items() if len(packed) == 1 else (("", None),)
    if tag == "f" and isinstance(body, str):
        return float.fromhex(body)
    if tag == "i" and isinstance(body, str):
        return int(body, 16)
    if tag == "d" and isinstance(body, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in body):
        return {_unpack(key): _unpack(item) for key, item in body}
    raise ValueError(f"not an encoded value: tag {tag!r}")
