# SPDX-License-Identifier: Apache-2.0
"""Values of libraries that tests compare results with (`== Fraction(1, 2)`), as plain values and back. Each end of a
line makes its own: only numbers and text travel.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

TAG = "rich"

_CONTENT: dict[tuple[str, str], Callable[[Any], list[Any]]] = {
    ("decimal", "Decimal"): lambda value: [str(value)],
    ("fractions", "Fraction"): lambda value: [hex(value.numerator), hex(value.denominator)],
    ("builtins", "range"): lambda value: [hex(value.start), hex(value.stop), hex(value.step)],
    ("datetime", "date"): lambda value: [value.isoformat()],
    ("datetime", "time"): lambda value: [value.isoformat()],
    ("datetime", "datetime"): lambda value: [value.isoformat()],
    ("datetime", "timedelta"): lambda value: [hex(value.days), hex(value.seconds), hex(value.microseconds)],
}
_FROM_TEXT = {"date", "time", "datetime"}


def describe(value: Any) -> list[Any] | None:
    """A description of `value`; None if it is of no type that is known here."""
    kind = type(value)
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray" and value.dtype.kind in "biufc":
        return [TAG, "numpy", "ndarray", [value.tolist(), value.dtype.str]]
    name = kind.__module__, kind.__name__
    content = _CONTENT.get(name)
    if content is None or vars(sys.modules.get(name[0], object)).get(name[1]) is not kind:
        return None
    return [TAG, *name, content(value)]


def build(body: list[Any]) -> Any:
    """The value of a description.

    Raises:
        ValueError: it describes none.
    """
    _, module, name, content = body
    if (module, name) == ("numpy", "ndarray"):
        return importlib.import_module("numpy").array(content[0], dtype=content[1])
    if (module, name) not in _CONTENT:
        raise ValueError(f"no such value: {module}.{name}")
    kind = getattr(importlib.import_module(module), name)
    if name in _FROM_TEXT:
        return kind.fromisoformat(*content)
    return kind(*content) if name == "Decimal" else kind(*(int(number, 16) for number in content))
