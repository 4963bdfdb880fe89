# SPDX-License-Identifier: Apache-2.0
"""The supervisor's side of a child that runs the tests of a solution one after the other
(`zygote/sequential_child.py`).
"""

from __future__ import annotations

import contextlib
import os
import socket

from klear_verl.judge.sandbox.kernel import memory_file, write_all
from klear_verl.judge.sandbox.supervisor import SandboxFailure
from klear_verl.judge.sandbox.zygote import sequential_child


class SequentialHost:
    """The child's files, which every test finds empty but for the input, and the socket to it."""

    DONE = sequential_child.DONE

    def __init__(self) -> None:
        self.pid = 0
        self.stdin, self.out, self.err, self.value = (memory_file() for _ in range(4))
        self.socket, self._childs_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def fds(self) -> list[int]:
        """What becomes the child's descriptors, from 0 on."""
        return [self.stdin, self.out, self.err, self.value, self._childs_end.fileno()]

    def close_childs_end(self) -> None:
        """Once the child has it."""
        self._childs_end.close()

    def started(self, hello: bytes, pid: int) -> None:
        """Notes which process the child is.

        Raises:
            SandboxFailure: no child started.
        """
        if hello != sequential_child.HELLO or not pid:
            raise SandboxFailure("no child started")
        self.pid = pid

    def begin(self, stdin: bytes, arguments: bytes | None) -> None:
        """Starts the next test."""
        for fd, content in ((self.stdin, stdin), (self.out, b""), (self.err, b""), (self.value, arguments or b"")):
            if os.fstat(fd).st_size > len(content):
                os.ftruncate(fd, 0)
            if content:
                write_all(fd, content)
        # It may have ended after its last test; then the solution process says how.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.send(sequential_child.GO_SCRIPT if arguments is None else sequential_child.GO_CALL)

    def close(self) -> None:
        """Closes the socket, at which the child ends, and the files."""
        self.socket.close()
        self._childs_end.close()
        for fd in (self.stdin, self.out, self.err, self.value):
            os.close(fd)
