# SPDX-License-Identifier: Apache-2.0
"""A control group around everything that a judge runs: a bound on the memory and the number of processes of all its
solutions together, where a group is delegated to us or we are root.

One group for a judge, not one for each solution: moving a process into a group makes the kernel wait for all
processors, which costs more than a test. Each solution's own memory is bounded by its address space. cgroup v2 is what
is meant; version 1, which some machines still have, differs in names only.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from klear_verl.judge.sandbox.kernel import kill

_NUMBERS = itertools.count()
_CONTROLLERS = {"memory", "pids"}
_V1_NAMES = {"memory.max": "memory.limit_in_bytes", "pids.max": "pids.max"}


class NoCgroup(Exception):
    """There can be no control group here, for the reason in the message."""


class Cgroup:
    """One control group. `setting` is "auto" (below the group of this process) or the path of a delegated group.

    Raises:
        NoCgroup: none can be made.
    """

    def __init__(self, setting: str, memory_mib: int, processes: int):
        self._folders: list[Path] = []
        self._memory_mib = memory_mib
        values = {"memory.max": str(memory_mib << 20), "pids.max": str(processes)}
        try:
            for parent, v2 in [(Path(setting), True)] if setting != "auto" else _own_groups():
                if v2:
                    _delegate(parent)
                folder = parent / f"klear-judge-{os.getpid()}-{next(_NUMBERS)}"
                folder.mkdir()
                self._folders.append(folder)
                for name, value in values.items():
                    file = folder / (name if v2 else _V1_NAMES[name])
                    if file.exists():
                        file.write_text(value)
                if v2 and (folder / "memory.swap.max").exists():
                    (folder / "memory.swap.max").write_text("0")
        except OSError as error:
            self.close()
            raise NoCgroup(str(error)) from error

    def add(self, pid: int) -> None:
        """Puts a process, and so all its future children, into the group."""
        for folder in self._folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def out_of_memory_kills(self) -> int:
        """How often the kernel killed a process of the group for want of memory."""
        for folder in self._folders:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(FileNotFoundError):
                    fields = dict(line.split() for line in (folder / name).read_text().splitlines())
                    return int(fields.get("oom_kill", 0))
        return 0

    @contextmanager
    def lowered_to(self, memory_mib: int) -> Iterator[None]:
        """Bounds the group's memory more tightly for a while."""
        self._bound_memory(memory_mib)
        try:
            yield
        finally:
            self._bound_memory(self._memory_mib)

    def _bound_memory(self, memory_mib: int) -> None:
        for folder in self._folders:
            for name in ("memory.max", _V1_NAMES["memory.max"]):
                if (folder / name).exists():
                    (folder / name).write_text(str(memory_mib << 20))

    def close(self) -> None:
        """Removes the group, and kills what is left in it."""
        for folder in self._folders:
            for pid in (folder / "cgroup.procs").read_text().split():
                kill(int(pid))
            for _ in range(1000):
                try:
                    folder.rmdir()
                    break
                except OSError:
                    # The kernel has not removed its last process yet.
                    os.sched_yield()
        self._folders = []


def _delegate(parent: Path) -> None:
    """Lets the children of a version 2 group have controllers of their own."""
    available = set((parent / "cgroup.controllers").read_text().split())
    if not available >= _CONTROLLERS:
        raise NoCgroup(f"{parent} has no {' and '.join(sorted(_CONTROLLERS - available))} controller")
    control = parent / "cgroup.subtree_control"
    if not set(control.read_text().split()) >= _CONTROLLERS:
        control.write_text("+memory +pids")


def _own_groups() -> list[tuple[Path, bool]]:
    """The groups of this process that matter, each with whether it is of version 2."""
    mounts: dict[str, tuple[Path, str]] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        root, point = left.split()[3:5]
        if kind == "cgroup2":
            mounts[""] = Path(point), root
        elif kind == "cgroup":
            mounts |= {name: (Path(point), root) for name in options.split()[-1].split(",")}
    groups: dict[str, Path] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            if name in mounts:
                mounted_at, mounted_root = mounts[name]
                inside = os.path.relpath(path, mounted_root)
                groups[name] = mounted_at if inside.startswith("..") else mounted_at / inside
    if groups.keys() >= _CONTROLLERS:
        return [(groups[name], False) for name in sorted(_CONTROLLERS)]
    if "" in groups:
        return [(groups[""], True)]
    raise NoCgroup("no control groups are mounted")
