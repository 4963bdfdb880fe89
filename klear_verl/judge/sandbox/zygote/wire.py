# SPDX-License-Identifier: Apache-2.0
"""The line between a tester and a solution: requests and answers as JSON, one after the other, in frames.

Values travel as in `values.py`; an object that is no plain value stays where it is, and a number travels in its place.
Both ends can ask: a test may hand a function of its own to the solution, which calls it while it is being called.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any

from klear_verl.judge.sandbox.zygote import values

_SIZE = struct.Struct("<I")
_MAX_FRAME = 64 << 20


class HungUp(BaseException):
    """The other end is gone. Not an Exception: no test may take it for an error of the function that it tests."""


class Line:
    """One end. `describe` gives an object of this end its body on the wire; `imitate` makes a stand-in of a body of the
    other end; `answer` serves a request of the other end.
    """

    def __init__(
        self,
        fd: int,
        describe: Callable[[Any], Any],
        imitate: Callable[[Any], Any],
        answer: Callable[[list[Any]], Any],
    ):
        self._fd = fd
        self._describe = describe
        self._imitate = imitate
        self._answer = answer

    def ask(self, *request: Any) -> Any:
        """Sends a request, serves the other end's while it waits, and returns the answer.

        Raises:
            HungUp: the other end went away, or breaks the rules.
            Exception: what the other end raised, as `imitate` makes it of ["raised", …].
        """
        self._send("?", list(request))
        while True:
            kind, body = self._receive()
            if kind == "=":
                return body
            if kind == "!":
                raise self._imitate(["raised", body])
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
            return data[:1].decode("latin-1"), values.decode(data[1:], self._imitate)
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
