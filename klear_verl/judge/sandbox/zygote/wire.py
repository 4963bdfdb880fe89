# SPDX-License-Identifier: Apache-2.0
"""The connection between a tester and a solution: requests and answers as JSON, one after the other, in frames; and the
solution's end of it. The tester's end is `proxy.py`.

Values travel as in `values.py`; an object that is no plain value stays where it is, and a number travels in its place.
Both ends can ask: a test may hand a function of its own to the solution, which calls it while it is being called.
"""

from __future__ import annotations

import builtins
import operator
import os
import struct
import types
from collections.abc import Callable
from typing import Any

from klear_verl.judge.sandbox.zygote import values

_SIZE = struct.Struct("<I")
_MAX_FRAME = 64 << 20
LINE = 3
"""Descriptor of the connection, in both processes."""

# What a test may do with an object of the solution, beside calling it.
# fmt: off
_OPERATORS = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift", "neg",
    "pos", "invert", "abs", "eq", "ne", "lt", "le", "gt", "ge", "getitem", "setitem", "delitem", "index",
)
# fmt: on
_OPERATIONS_BY_NAME = {name: getattr(operator, name) for name in _OPERATORS} | {
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


class HungUp(BaseException):
    """The other end is gone. Not an Exception: no test may take it for an error of the function that it tests."""


class Connection:
    """One end. `describe` gives an object of this end its body on the wire; `rebuild` makes a value, a proxy or an
    exception of a body of the other end; `answer` serves a request of the other end.
    """

    def __init__(
        self,
        fd: int,
        describe: Callable[[Any], Any],
        rebuild: Callable[[Any], Any],
        answer: Callable[[list[Any]], Any],
    ):
        self._fd = fd
        self._describe = describe
        self._rebuild = rebuild
        self._answer = answer

    def ask(self, *request: Any) -> Any:
        """Sends a request, serves the other end's while it waits, and returns the answer.

        Raises:
            HungUp: the other end went away, or breaks the protocol.
            Exception: what the other end raised, as `rebuild` makes it of ["raised", …].
        """
        self._send("?", list(request))
        while True:
            kind, body = self._receive()
            if kind == "=":
                return body
            if kind == "!":
                raise self._rebuild(["raised", body])
            self._serve(body)

    def serve(self) -> None:
        """Answers requests until the other end hangs up."""
        while True:
            try:
                kind, body = self._receive()
            except HungUp:
                return
            if kind == "?":
                self._serve(body)

    def _serve(self, request: list[Any]) -> None:
        try:
            answer = self._answer(request)
        except HungUp:
            raise
        except BaseException as error:
            self._send("!", describe_exception(error))
            return
        try:
            self._send("=", answer)
        except (TypeError, ValueError) as error:
            self._send("!", describe_exception(error))

    def _send(self, kind: str, body: Any) -> None:
        data = kind.encode() + values.encode(body, self._describe)
        data = _SIZE.pack(len(data)) + data
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise HungUp from error

    def _receive(self) -> tuple[str, Any]:
        (size,) = _SIZE.unpack(self._read(_SIZE.size))
        if not 0 < size <= _MAX_FRAME:
            raise HungUp
        data = self._read(size)
        try:
            return data[:1].decode("latin-1"), values.decode(data[1:], self._rebuild)
        except ValueError as error:
            raise HungUp from error

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            part = os.read(self._fd, min(size, 1 << 20))
            if not part:
                raise HungUp
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def describe_exception(error: BaseException) -> list[Any]:
    """[names of its classes, the nearest first; text]"""
    try:
        text = str(error)
    except Exception as second:  # the exception is the solution's own class: its text may raise anything
        text = f"<str() raised {type(second).__name__}>"
    return [[kind.__name__ for kind in type(error).__mro__], str.__str__(text)[:2000]]


def serve(module: types.ModuleType) -> None:
    """Serves the names of `module` until the tester hangs up."""
    SolutionServer(module).connection.serve()


class SolutionServer:
    """The solution's end: looks names up, calls, and gets and sets for the tester. It runs beside untrusted code, and
    may answer anything at all: nothing here is relied upon.
    """

    def __init__(self, module: types.ModuleType):
        self._module = module
        self._objects: list[Any] = []
        self.connection = Connection(LINE, self._describe, self._rebuild, self._answer)

    def _describe(self, value: Any) -> Any:
        described = values.describe_rich(value)
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

    def _rebuild(self, body: Any) -> Any:
        if body[0] == values.RICH:
            return values.build_rich(body)
        if body[0] == "raised":
            (names, text) = body[1]
            kind = next((vars(builtins)[name] for name in names if name in vars(builtins)), RuntimeError)
            return kind(text)
        if body[0] == "yours":
            return self._objects[body[1]]
        number = body[1]
        return lambda *args, **kwargs: self.connection.ask("call", number, list(args), kwargs)

    def _answer(self, request: list[Any]) -> Any:
        what, *rest = request
        if what == "name":
            (name,) = rest
            return [True, vars(self._module)[name]] if name in vars(self._module) else [False, None]
        if what == "call":
            function, args, kwargs = rest
            return self._call(function, args, kwargs)
        return _OPERATIONS_BY_NAME[what](*rest)

    def _call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
        """[the result, {position: what became of an argument that the call changed}]"""
        before = {at: values.encode(arg, _opaque) for at, arg in enumerate(args) if isinstance(arg, _MUTABLE)}
        result = function(*args, **kwargs)
        changed = {at: args[at] for at, was in before.items() if values.encode(args[at], _opaque) != was}
        return [result, changed]


def _opaque(value: Any) -> Any:
    return id(value)
