# SPDX-License-Identifier: Apache-2.0
"""What the supervisor asks of the kernel: about the processes of a solution, from outside, by their numbers in our
namespace; and files in memory, through which programs get their input and leave their output.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

_READ = 1 << 16


def children(pid: int) -> list[int]:
    """The children of a process with one thread; empty if it is gone."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return [child for child, parent in _parents() if parent == pid]


def _parents() -> list[tuple[int, int]]:
    """(process, its parent) of all; for kernels without CONFIG_PROC_CHILDREN."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{entry}/stat") as file:
                found.append((int(entry), int(file.read().rpartition(")")[2].split()[1])))
    return found


def cpu_s(pid: int) -> float:
    """CPU time of all threads of a process; 0 if it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)
    except OSError:
        return 0.0


def threads(pid: int) -> int:
    """How many threads a process has; 0 if it is gone."""
    try:
        return os.stat(f"/proc/{pid}/task").st_nlink - 2
    except FileNotFoundError:
        return 0


def starved_s(pid: int) -> float:
    """How long a process was ready to run but had no processor: the time of its worst-off thread. 0 where the kernel
    doesn't tell.
    """
    waits = [0]
    # A thread may end meanwhile, or there is no schedstat: what was read so far stands.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                waits.append(int(file.read().split()[1]))
    return max(waits) / 1e9


def kill(pid: int) -> None:
    """Kills a process, if it is still there.

    Raises:
        ValueError: the number means more than one process, or the first of all.
    """
    if pid <= 1:
        raise ValueError(f"no program's process: {pid}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


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
