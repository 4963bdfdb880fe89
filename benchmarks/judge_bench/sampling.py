# SPDX-License-Identifier: Apache-2.0
"""What a judge holds at a moment: memory of the supervisor and of each zygote, descriptors, processes, files."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from .soak_programs import MARKER

_SETTLE_S = 0.05
"""The last solution's processes are dead when its verdict is there, but not yet gone."""

SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


@dataclass
class Process:
    """One process. PSS and descriptors are None where the kernel does not tell (an undumpable process of another
    user).
    """

    rss_mib: float
    pss_mib: float | None
    descriptors: int | None
    threads: int


@dataclass
class Moment:
    """Everything at once, between two solutions. `zygotes` are named by tier and number; `leaks` are names of things
    that a program left.
    """

    runs: int
    elapsed_s: float
    supervisor: Process
    zygotes: dict[str, Process] = field(default_factory=dict)
    processes: int = 0
    temporary_files: int = 0
    leaks: list[str] = field(default_factory=list)


class Sampler:
    """Looks at the judge that runs in this process.

    Args:
        temporary: the folder that this process's temporary files are in, and nobody else's.
    """

    def __init__(self, temporary: Path):
        self._temporary = temporary
        self._names: dict[int, str] = {}
        self._segments = _segments()

    def name_new(self, tier: str) -> None:
        """Children that were not there before belong to this tier."""
        for child in psutil.Process().children():
            if child.pid not in self._names:
                count = sum(name.startswith(f"{tier} ") for name in self._names.values())
                self._names[child.pid] = f"{tier} {count + 1}"

    def look(self, runs: int, elapsed_s: float) -> Moment:
        """The state now, when no solution runs."""
        time.sleep(_SETTLE_S)
        self.name_new("later")
        me = psutil.Process()
        moment = Moment(runs, elapsed_s, _process(me))
        for child in me.children():
            # In namespaces, the child only stands by; the zygote is below it.
            zygote = next(iter(child.children()), child)
            moment.zygotes[self._names[child.pid]] = _process(zygote)
        moment.processes = len(me.children(recursive=True))
        moment.temporary_files = sum(1 for _ in self._temporary.rglob("*"))
        moment.leaks = [str(entry) for folder in SHARED_FOLDERS for entry in Path(folder).glob(f"{MARKER}*")]
        moment.leaks += [f"shared memory segment {key}" for key in _segments() - self._segments]
        return moment


def _process(process: psutil.Process) -> Process:
    with process.oneshot():
        rss_mib = process.memory_info().rss / 2**20
        threads = process.num_threads()
    try:
        descriptors = len(os.listdir(f"/proc/{process.pid}/fd"))
    except PermissionError:
        descriptors = None
    return Process(rss_mib, _pss_mib(process.pid), descriptors, threads)


def _pss_mib(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except PermissionError:
        return None
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _segments() -> set[str]:
    """System V shared memory segments, by key."""
    try:
        lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    except FileNotFoundError:
        return set()
    return {line.split()[0] for line in lines}
