# SPDX-License-Identifier: Apache-2.0
"""The solution as a test sees it, from another process: its names, its functions, and proxies of its objects.

A `Proxy` never equals a plain value and is never in a container of plain values; it can't be ordered or combined with a
plain value by an operator. Each of those would ask the solution whether its own result is right.
"""

from __future__ import annotations

import builtins
import importlib
from typing import Any

from klear_verl.judge.sandbox.zygote import values, wire

MISSING = object()

_BINARY = "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift".split()  # noqa: SIM905
_ORDER = ["lt", "le", "gt", "ge"]


class RemoteSolution:
    """The solution as the test sees it. `gone`: it went away, whatever the test made of that."""

    def __init__(self, entry_point: str):
        self.gone = False
        self._entry_point = entry_point
        self._exceptions: dict[tuple[str, ...], type[BaseException]] = {}
        self._functions: list[Any] = []
        self._connection = wire.Connection(wire.LINE, self._describe, self._rebuild, self._answer)

    def ask(self, *request: Any) -> Any:
        """A request over the connection."""
        try:
            return self._connection.ask(*request)
        except wire.HungUp:
            self.gone = True
            raise
        except StopIteration as error:
            if request[0] == "next":
                raise
            # In a `for` over `map(f, …)` it would end the test's loop, and with it the test.
            raise RuntimeError("the solution raised StopIteration") from error

    def name(self, name: str) -> Any:
        """What the solution's module calls `name`, or MISSING.

        Names of Python's own are never asked for: a solution could define `abs` to its liking. Its entry point may have
        such a name.
        """
        if hasattr(builtins, name) and name != self._entry_point:
            return MISSING
        found, value = self.ask("name", name)
        return value if found is True else MISSING

    def call(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls, and repeats on the arguments what the call did to them."""
        result, changed = self.ask("call", function, list(args), kwargs)
        for at, content in changed.items():
            _overwrite(args[at], content)
        return result

    def _describe(self, value: Any) -> Any:
        described = values.describe_rich(value)
        if described is not None:
            return described
        if isinstance(value, Proxy):
            return ["yours", object.__getattribute__(value, "_number")]
        if isinstance(value, type) and issubclass(value, BaseException) and hasattr(value, "_klear_number"):
            return ["yours", value._klear_number]
        if not callable(value):
            raise TypeError(f"a test can't hand a {type(value).__name__!r} to the solution")
        self._functions.append(value)
        return ["function", len(self._functions) - 1]

    def _rebuild(self, body: Any) -> Any:
        if body[0] == values.RICH:
            return values.build_rich(body)
        if body[0] == "raised":
            (names, text) = body[1]
            return self._exception(tuple(map(str, names)))(text)
        number, kind, name, bases = body
        if kind == "module":
            return importlib.import_module(str(name))
        if kind == "exception":
            exception = self._exception(tuple(map(str, bases)))
            if not hasattr(builtins, exception.__name__):
                setattr(exception, "_klear_number", number)  # noqa: B010
            return exception
        return Proxy(self, number, str(name))

    def _exception(self, names: tuple[str, ...]) -> type[BaseException]:
        """A class here for one there, below the nearest of Python's own that it is made from."""
        builtin = next((getattr(builtins, name) for name in names if hasattr(builtins, name)), RuntimeError)
        if not (isinstance(builtin, type) and issubclass(builtin, BaseException)):
            builtin = RuntimeError
        if not names or builtin.__name__ == names[0]:
            return builtin
        if names not in self._exceptions:
            parent = self._exception(names[1:])
            self._exceptions[names] = type(names[0], (parent,), {"__init__": lambda self, *args: None})
        return self._exceptions[names]

    def _answer(self, request: list[Any]) -> Any:
        what, number, args, kwargs = request
        if what != "call":
            raise TypeError("a solution can only call what the test handed to it")
        return self._functions[number](*args, **kwargs)


def _overwrite(target: Any, content: Any) -> None:
    if isinstance(target, (list, bytearray)):
        target[:] = content
    elif isinstance(target, (dict, set)):
        target.clear()
        target.update(content)


class Proxy:
    """An object that stayed with the solution. What is done to it is done there; see the module's docstring for what is
    refused.
    """

    __slots__ = ("_name", "_number", "_solution")

    def __init__(self, solution: RemoteSolution, number: int, name: str):
        object.__setattr__(self, "_solution", solution)
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "_name", name)

    @property
    def __name__(self) -> str:
        return self._name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._solution.call(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return self._solution.ask("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._solution.ask("setattr", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._solution.ask("getitem", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._solution.ask("setitem", self, key, value)

    def __delitem__(self, key: Any) -> None:
        self._solution.ask("delitem", self, key)

    def __iter__(self) -> Any:
        return self._solution.ask("iter", self)

    def __next__(self) -> Any:
        return self._solution.ask("next", self)

    def __contains__(self, wanted: Any) -> bool:
        return any(item == wanted for item in self)

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, Proxy) and self._solution.ask("isinstance", value, self) is True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Proxy) and self._solution.ask("eq", self, other) is True

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return self._plain("hash", int)

    def __len__(self) -> int:
        return self._plain("len", int)

    def __bool__(self) -> bool:
        return self._plain("bool", bool)

    def __str__(self) -> str:
        return self._plain("str", str)

    def __repr__(self) -> str:
        return self._plain("repr", str)

    def __int__(self) -> int:
        return self._plain("int", int)

    def __float__(self) -> float:
        return self._plain("float", float)

    def __index__(self) -> int:
        return self._plain("index", int)

    def _plain(self, operation: str, kind: type) -> Any:
        value = self._solution.ask(operation, self)
        if type(value) is not kind:
            raise TypeError(f"{operation}() of {self._name!r} gave no {kind.__name__}")
        return value


def _add_operators() -> None:
    def unary(name: str) -> Any:
        return lambda self: self._solution.ask(name, self)

    def binary(name: str) -> Any:
        def method(self: Proxy, other: Any) -> Any:
            if not isinstance(other, Proxy):
                raise TypeError(
                    f"{self._name!r} is an object of the solution's own class: it can't be combined with a plain value"
                )
            return self._solution.ask(name, self, other)

        return method

    for name in ("neg", "pos", "invert", "abs"):
        setattr(Proxy, f"__{name}__", unary(name))
    for name in _BINARY + _ORDER:
        dunder = name.rstrip("_")
        setattr(Proxy, f"__{dunder}__", binary(name))
        if name in _BINARY:
            # Only reached with a plain value at the left.
            setattr(Proxy, f"__r{dunder}__", binary(name))


_add_operators()
