# SPDX-License-Identifier: Apache-2.0
"""Messages with descriptors over a SOCK_SEQPACKET socket, without the `socket` module: its classes and the libraries
that it loads would be copied, or mapped, at every fork.
"""

from __future__ import annotations

import _socket

_LEVEL, _RIGHTS = _socket.SOL_SOCKET, _socket.SCM_RIGHTS


class Channel:
    """This process's end of a socket that it was started with."""

    def __init__(self, fd: int):
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd)
        self._space = _socket.CMSG_SPACE(8 * 4)

    def receive(self, size: int) -> tuple[bytes, list[int]]:
        """A message (b"": the other end is gone) and the descriptors that came with it."""
        message, ancillary, _, _ = self._socket.recvmsg(size, self._space)
        if not ancillary:
            return message, []
        _, _, data = ancillary[0]
        return message, list(memoryview(data).cast("i"))

    def send(self, message: bytes, fd: int = -1) -> None:
        """Sends a message, and with it a descriptor if there is one."""
        if fd < 0:
            self._socket.send(message)
        else:
            self._socket.sendmsg([message], [(_LEVEL, _RIGHTS, fd.to_bytes(4, "little"))])

    def detach(self) -> int:
        """Gives the descriptor away."""
        return self._socket.detach()
