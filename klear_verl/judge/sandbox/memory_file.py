# SPDX-License-Identifier: Apache-2.0
"""Files in memory, through which programs get their input and leave their output."""

from __future__ import annotations

import os

_READ = 1 << 16


def memory_file(content: bytes = b"") -> int:
    """A new file with `content`, at its beginning. It can't be sealed, so it stays under our control."""
    fd = os.memfd_create("judge", os.MFD_CLOEXEC)
    if content:
        write_all(fd, content)
    return fd


def write_all(fd: int, content: bytes) -> None:
    """Writes `content` at the beginning, without moving the position that the program will read from."""
    written = os.pwrite(fd, content, 0)
    while written < len(content):
        written += os.pwrite(fd, memoryview(content)[written:], written)


def read_all(fd: int, limit: int) -> bytes:
    """At most `limit` bytes from the beginning."""
    data = os.pread(fd, min(limit, _READ), 0)
    if len(data) < _READ:
        return data
    parts = [data]
    size = len(data)
    while size < limit and (part := os.pread(fd, min(limit - size, 1 << 20), size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def read_tail(fd: int, limit: int) -> bytes:
    """The last `limit` bytes."""
    size = os.fstat(fd).st_size
    return os.pread(fd, limit, max(0, size - limit)) if size else b""
