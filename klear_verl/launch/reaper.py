# SPDX-License-Identifier: Apache-2.0
"""Stands between a command (`klear train`, `klear sft`) and its training process, so that none outlives the others.

A command that is killed with -9 can clean nothing up. This process can: as soon as the command is gone, or the training
process has ended, it ends everything that the run started and removes its shared memory. It also holds the lock of the
run's folder until then, so that the same command cannot start over what is left of the last one. If it is killed
itself, the training process dies with it, and the rest falls to the command, which reaps next.

Run as `python -m klear_verl.launch.reaper LIFELINE PATIENCE_S COMMAND…`. LIFELINE is the number of a descriptor that
is at its end once the command is gone. The exit status is COMMAND's, 128 + N where signal N ended it. Imports next to
nothing: it starts before every run.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
import subprocess
import sys
import time

from klear_verl.launch import processes
from klear_verl.utils import forked

ASKED_S = 10.0
"""How long the training process may take to end after it was asked to."""
LOOK_EVERY_S = 0.2


def main() -> int:
    """Keeps the run; returns the exit status."""
    lifeline, patience_s, command = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    processes.adopt_orphans()
    before = processes.shared_memory_segments()
    asked_at: list[float] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_at.append(time.monotonic()))
    with_us = functools.partial(processes.die_with_parent, os.getpid())
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=forked.instead_of(command, first=with_us))
    told = False
    while child.poll() is None:
        if select.select([lifeline], [], [], LOOK_EVERY_S)[0]:
            child.kill()
            child.wait()
        elif asked_at and not told:
            child.send_signal(signal.SIGINT)
            told = True
        elif asked_at and time.monotonic() - asked_at[0] > ASKED_S:
            child.kill()
    processes.end_descendants(patience_s)
    if removed := processes.sweep_shared_memory(before):
        with contextlib.suppress(BrokenPipeError):  # where the command is gone, nobody reads
            print(f"removed shared memory left behind: {' '.join(removed)}", flush=True)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    sys.exit(main())
