# SPDX-License-Identifier: Apache-2.0
"""Outlives a process of pytest by a moment, and kills what its tests have left, even where pytest was itself killed.

Run as `python reaper.py PID MARK`: as soon as the process PID is gone, every process with the variable MARK in its
environment is killed, and all that descends from one. Imports next to nothing: every process of pytest starts one.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path

PATIENCE_S = 30.0
"""For those that the kernel takes its time to end."""


def main() -> None:
    """The command line."""
    watched, mark = int(sys.argv[1]), os.fsencode(f"{sys.argv[2]}=")
    with contextlib.suppress(ProcessLookupError):  # gone already
        descriptor = os.pidfd_open(watched)
        # Nobody's child, so that tests which count their children don't count this one, and deaf to Ctrl-C.
        if os.fork():
            return
        os.setsid()
        select.select([descriptor], [], [])
    gives_up_at = time.monotonic() + PATIENCE_S
    while (left := _marked(mark)) and time.monotonic() < gives_up_at:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _marked(mark: bytes) -> set[int]:
    """Living processes with the mark, and their descendants."""
    parents, found = {}, set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended, or is another user's
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                parents[int(entry.name)] = int(parent)
                if any(name.startswith(mark) for name in (entry / "environ").read_bytes().split(b"\0")):
                    found.add(int(entry.name))
    while below := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= below
    return found - {os.getpid()}


if __name__ == "__main__":
    main()
