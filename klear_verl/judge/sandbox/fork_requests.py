# SPDX-License-Identifier: Apache-2.0
"""The supervisor's answers to the questions of the system-call filter: may this process make another?

The kernel stops the asking process, and says which it is; its arguments are in registers, so they can't change
meanwhile.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_QUESTION = struct.Struct("<QII64x")
_ANSWER = struct.Struct("<QqiI")
_CONTINUE = 1


class Questions:
    """The descriptor on which the questions about one solution come."""

    def __init__(self, fd: int):
        self._fd = fd

    def fileno(self) -> int:
        """For poll(2)."""
        return self._fd

    def answer(self, allowed: int) -> bool:
        """Answers one question: process `allowed` may make a process, nobody else. Returns whether it was yes."""
        question = bytearray(_QUESTION.size)
        try:
            fcntl.ioctl(self._fd, _RECEIVE, question)
            number, pid, _ = _QUESTION.unpack(question)
            if pid == allowed:
                answer = _ANSWER.pack(number, 0, 0, _CONTINUE)
            else:
                answer = _ANSWER.pack(number, 0, -errno.EPERM, 0)
            fcntl.ioctl(self._fd, _SEND, answer)
        except FileNotFoundError:
            return False  # whoever asked was killed meanwhile
        return pid == allowed

    def close(self) -> None:
        """Whoever asks from now on is refused."""
        os.close(self._fd)
