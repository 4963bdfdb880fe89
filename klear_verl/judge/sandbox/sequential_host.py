# SPDX-License-Identifier: Apache-2.0
"""The supervisor's side of a child that runs the tests of a solution in turn (`zygote/sequential_child.py`)."""

from __future__ import annotations

import contextlib
import os
import socket

from klear_verl.judge.sandbox.memory_file import memory_file, write_all
from klear_verl.judge.sandbox.supervisor import ZygoteDied
from klear_verl.judge.sandbox.zygote import sequential_child


class Turns:
    """Its files, which every test finds empty but for the input, and the line to it."""

    DONE, LAST = sequential_child.DONE, sequential_child.LAST

    def __init__(self) -> None:
        self.pid = 0
        self.stdin, self.out, self.err, self.value = (memory_file() for _ in range(4))
        self.line, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def fds(self) -> list[int]:
        """What becomes the child's descriptors, from 0 on."""
        return [self.stdin, self.out, self.err, self.value, self._theirs.fileno()]

    def handed_over(self) -> None:
        """The child's end of the line is the child's alone now."""
        self._theirs.close()

    def meet(self, hello: bytes, pid: int) -> None:
        """Takes note of the child that said hello.

        Raises:
            ZygoteDied: no child came up.
        """
        if hello != sequential_child.HELLO or not pid:
            raise ZygoteDied("no child came up")
        self.pid = pid

    def begin(self, stdin: bytes, arguments: bytes | None) -> None:
        """Starts the next test."""
        for fd, content in ((self.stdin, stdin), (self.out, b""), (self.err, b""), (self.value, arguments or b"")):
            if os.fstat(fd).st_size > len(content):
                os.ftruncate(fd, 0)
            if content:
                write_all(fd, content)
        # It may have ended after its last test; then the warden says how.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.line.send(sequential_child.GO_SCRIPT if arguments is None else sequential_child.GO_CALL)

    def close(self) -> None:
        """Lets go of the child, which ends, and of its files."""
        self.line.close()
        self._theirs.close()
        for fd in (self.stdin, self.out, self.err, self.value):
            os.close(fd)
