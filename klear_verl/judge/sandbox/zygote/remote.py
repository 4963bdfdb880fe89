# SPDX-License-Identifier: Apache-2.0
"""The solution's end of the line: looks names up, calls, and gets and sets for the tester.

It runs beside untrusted code, and may answer anything at all. Nothing here is relied upon: what the tester is sure of
is in `tester.py`.
"""

from __future__ import annotations

import builtins
import operator
import types
from typing import Any

from klear_verl.judge.sandbox.zygote import rich, values, wire

LINE = 3

# What a test may do with an object of the solution, beside calling it.
# fmt: off
_OPERATORS = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift", "neg",
    "pos", "invert", "abs", "eq", "ne", "lt", "le", "gt", "ge", "getitem", "setitem", "delitem", "index",
)
# fmt: on
OPERATIONS = {name: getattr(operator, name) for name in _OPERATORS} | {
    "getattr": getattr,
    "setattr": setattr,
    "len": len,
    "iter": iter,
    "next": next,
    "bool": bool,
    "str": str,
    "repr": repr,
    "int": int,
    "float": float,
    "hash": hash,
    "isinstance": isinstance,
}
_MUTABLE = (list, dict, set, bytearray)


def serve(module: types.ModuleType) -> None:
    """Serves the names of `module` until the tester hangs up."""
    _Solution(module).line.serve()


class _Solution:
    def __init__(self, module: types.ModuleType):
        self._module = module
        self._objects: list[Any] = []
        self.line = wire.Line(LINE, self._describe, self._imitate, self._answer)

    def _describe(self, value: Any) -> Any:
        described = rich.describe(value)
        if described is not None:
            return described
        self._objects.append(value)
        kind = "object"
        bases: list[str] = []
        if isinstance(value, types.ModuleType):
            return [-1, "module", value.__name__, bases]
        if isinstance(value, type):
            kind = "exception" if issubclass(value, BaseException) else "class"
            bases = [base.__name__ for base in value.__mro__]
        return [len(self._objects) - 1, kind, str(getattr(value, "__name__", type(value).__name__)), bases]

    def _imitate(self, body: Any) -> Any:
        if body[0] == rich.TAG:
            return rich.build(body)
        if body[0] == "raised":
            (names, text) = body[1]
            kind = next((vars(builtins)[name] for name in names if name in vars(builtins)), RuntimeError)
            return kind(text)
        if body[0] == "yours":
            return self._objects[body[1]]
        number = body[1]
        return lambda *args, **kwargs: self.line.ask("call", number, list(args), kwargs)

    def _answer(self, request: list[Any]) -> Any:
        what, *rest = request
        if what == "name":
            (name,) = rest
            return [True, vars(self._module)[name]] if name in vars(self._module) else [False, None]
        if what == "call":
            function, args, kwargs = rest
            return self._call(function, args, kwargs)
        return OPERATIONS[what](*rest)

    def _call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
        """[the result, {position: what became of an argument that the call changed}]"""
        before = {at: values.encode(arg, _opaque) for at, arg in enumerate(args) if isinstance(arg, _MUTABLE)}
        result = function(*args, **kwargs)
        changed = {at: args[at] for at, was in before.items() if values.encode(args[at], _opaque) != was}
        return [result, changed]


def _opaque(value: Any) -> Any:
    return id(value)
