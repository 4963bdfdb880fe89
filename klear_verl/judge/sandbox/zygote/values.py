# SPDX-License-Identifier: Apache-2.0
"""Plain values as bytes, by type and content, so that no method of a solution's class ever runs where values are
compared.

Encoded are None, bool, int, float, complex, str, bytes, list, tuple, set, frozenset and dict. A subclass of one of them
(a named tuple, a Counter, an IntEnum, numpy's float64) is encoded as what it holds. Anything else is `foreign`:
refused, or given to the caller's function, which `remote.py` uses for objects that stay where they are.

`encode` runs beside the program; `decode` elsewhere, on bytes that a hostile program may have written: any bytes at all
give a plain value or ValueError.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 100
MAX_NODES = 1_000_000
MAX_KEY_NODES = 8_000
_SAFE_INT = 1 << 64

Foreign = Callable[[Any], Any]


def encode(value: Any, foreign: Foreign | None = None) -> bytes:
    """Encodes `value`.

    Args:
        foreign: JSON for a value of any other type, as the body of tag "x".

    Raises:
        TypeError: a type that is not plain (the message names it).
        ValueError: deeper than MAX_DEPTH, or more than MAX_NODES values.
    """
    return json.dumps(_Packer(foreign or _refuse).pack(value, MAX_DEPTH), separators=(",", ":")).encode("ascii")


def _refuse(value: Any) -> Any:
    raise TypeError(f"a value of type {type(value).__name__!r} can't be compared")


class _Packer:
    def __init__(self, foreign: Foreign):
        self._foreign = foreign
        self._left = MAX_NODES

    def pack(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
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
        if kind is list:
            return self._pack_all(value, depth)
        if kind is tuple:
            return {"t": self._pack_all(value, depth)}
        if kind is dict:
            return {"d": [self._pack_all(pair, depth) for pair in value.items()]}
        return self._pack_rest(value, depth)

    def _pack_rest(self, value: Any, depth: int) -> Any:
        if isinstance(value, set):
            return {"s": self._pack_all(set.__iter__(value), depth)}
        if isinstance(value, frozenset):
            return {"z": self._pack_all(frozenset.__iter__(value), depth)}
        if isinstance(value, (bytes, bytearray)):
            return {"b": bytes.hex(value) if isinstance(value, bytes) else bytearray.hex(value)}
        if type(value) is complex:
            return {"c": [value.real.hex(), value.imag.hex()]}
        for base, content in _CONTENT.items():
            if isinstance(value, base):
                return self.pack(content(value), depth)
        if type(value).__module__ == "numpy" and hasattr(value, "dtype") and getattr(value, "shape", None) == ():
            return self.pack(value.item(), depth - 1)
        return {"x": self._foreign(value)}

    def _pack_all(self, items: Any, depth: int) -> list[Any]:
        return [self.pack(item, depth - 1) for item in items]


# What an instance of a subclass holds, by the base's own methods: those of the subclass may be anything.
_CONTENT: dict[type, Callable[[Any], Any]] = {
    int: int.__pos__,
    float: float.__pos__,
    str: str.__str__,
    list: lambda value: list.__getitem__(value, slice(None)),
    tuple: lambda value: tuple.__getitem__(value, slice(None)),
    dict: lambda value: dict(dict.items(value)),
}


def decode(data: bytes, foreign: Foreign = _refuse) -> Any:
    """Decodes bytes of `encode`.

    Args:
        foreign: the value for the body of tag "x".

    Raises:
        ValueError: these bytes are none of `encode`'s, or are meant to keep the reader busy.
    """
    # Bounds the memory that decoding can take, before any is taken.
    if sum(map(data.count, (b",", b"[", b"{"))) > 4 * MAX_NODES:
        raise ValueError("the value is too large")
    try:
        return _Unpacker(foreign).unpack(json.loads(data))
    except (RecursionError, TypeError, OverflowError, UnicodeDecodeError, AttributeError) as error:
        raise ValueError(f"not an encoded value: {error}") from error


class _Unpacker:
    def __init__(self, foreign: Foreign):
        self._foreign = foreign
        self._key_nodes_left = MAX_KEY_NODES

    def unpack(self, packed: Any) -> Any:
        if isinstance(packed, list):
            return [self.unpack(item) for item in packed]
        if not isinstance(packed, dict):
            return packed
        if len(packed) != 1:
            raise ValueError("not an encoded value")
        ((tag, body),) = packed.items()
        if tag == "f":
            return float.fromhex(body)
        if tag == "i":
            return int(body, 16)
        if tag == "b":
            return bytes.fromhex(body)
        if tag == "c":
            real, imaginary = map(float.fromhex, body)
            return complex(real, imaginary)
        if tag == "x":
            return self._foreign(body)
        if not isinstance(body, list):
            raise ValueError(f"not an encoded value: tag {tag!r}")
        if tag == "t":
            return tuple(self.unpack(item) for item in body)
        if tag == "d":
            pairs = [(self._key(key), self.unpack(item)) for key, item in body]
            return dict(pairs)
        if tag in ("s", "z"):
            return (set if tag == "s" else frozenset)(self._key(item) for item in body)
        raise ValueError(f"not an encoded value: tag {tag!r}")

    def _key(self, packed: Any) -> Any:
        """A member of a hash table. Numbers and tuples can be made to collide, which is quadratic; text can't."""
        if not isinstance(packed, str):
            self._key_nodes_left -= _nodes(packed)
            if self._key_nodes_left < 0:
                raise ValueError(f"more than {MAX_KEY_NODES} keys that are not text")
        return self.unpack(packed)


def _nodes(packed: Any) -> int:
    if isinstance(packed, list):
        return sum(map(_nodes, packed)) + 1
    return sum(map(_nodes, packed.values())) if isinstance(packed, dict) else 1


RICH = "rich"

_RICH_CONTENT: dict[tuple[str, str], Callable[[Any], list[Any]]] = {
    ("decimal", "Decimal"): lambda value: [str(value)],
    ("fractions", "Fraction"): lambda value: [hex(value.numerator), hex(value.denominator)],
    ("builtins", "range"): lambda value: [hex(value.start), hex(value.stop), hex(value.step)],
    ("datetime", "date"): lambda value: [value.isoformat()],
    ("datetime", "time"): lambda value: [value.isoformat()],
    ("datetime", "datetime"): lambda value: [value.isoformat()],
    ("datetime", "timedelta"): lambda value: [hex(value.days), hex(value.seconds), hex(value.microseconds)],
}
_RICH_FROM_TEXT = {"date", "time", "datetime"}


def describe_rich(value: Any) -> list[Any] | None:
    """A description of `value`; None if it is of no type that is known here."""
    kind = type(value)
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray" and value.dtype.kind in "biufc":
        return [RICH, "numpy", "ndarray", [value.tolist(), value.dtype.str]]
    name = kind.__module__, kind.__name__
    content = _RICH_CONTENT.get(name)
    if content is None or vars(sys.modules.get(name[0], object)).get(name[1]) is not kind:
        return None
    return [RICH, *name, content(value)]


def build_rich(body: list[Any]) -> Any:
    """The value of a description.

    Raises:
        ValueError: it describes none.
    """
    _, module, name, content = body
    if (module, name) == ("numpy", "ndarray"):
        return importlib.import_module("numpy").array(content[0], dtype=content[1])
    if (module, name) not in _RICH_CONTENT:
        raise ValueError(f"no such value: {module}.{name}")
    kind = getattr(importlib.import_module(module), name)
    if name in _RICH_FROM_TEXT:
        return kind.fromisoformat(*content)
    return kind(*content) if name == "Decimal" else kind(*(int(number, 16) for number in content))
