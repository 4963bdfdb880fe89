# SPDX-License-Identifier: Apache-2.0
"""What the kernel says about processes of a solution, asked from outside, by their numbers in our namespace."""

from __future__ import annotations

import contextlib
import os
import signal
import time


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
