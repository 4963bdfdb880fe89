# SPDX-License-Identifier: Apache-2.0
"""The machine before and after a judge's life: processes, files, System V objects, descriptors, memory.

Orphans come to this process while it watches, so that nothing can hide by detaching itself.
"""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import tempfile
import time
from pathlib import Path

from tests.judge.attacks.outside import system_v_objects

MOST_GROWTH_MIB = 64
"""What the memory of a supervisor may grow by, over thousands of runs with outputs of many megabytes."""

_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None)


class MachineWatch:
    """Used as a context around the whole life of one or more judges; `leaks` is for after it."""

    def __enter__(self) -> MachineWatch:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._temporary, tempfile.tempdir = tempfile.tempdir, tempfile.mkdtemp(prefix="watch-")
        self._folder = Path(tempfile.tempdir)
        # Judges that work under another user must be able to enter it.
        self._folder.chmod(0o755)
        self._before = _counts()
        return self

    def __exit__(self, *_: object) -> None:
        after = _counts()
        self.growth_mib = after.pop("resident_mib") - self._before.pop("resident_mib")
        self.leaks = {name: after[name] - self._before[name] for name in after if after[name] > self._before[name]}
        files = [str(path.relative_to(self._folder)) for path in self._folder.rglob("*")]
        if files:
            self.leaks["temporary files"] = len(files)
        shutil.rmtree(self._folder)
        tempfile.tempdir = self._temporary
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 0)


def resident_mib() -> float:
    """The memory of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _counts() -> dict[str, float]:
    return {
        "processes": _children_after_kills(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "files in /dev/shm": len(list(Path("/dev/shm").glob("*klear*"))),
        "System V objects": system_v_objects(),
        "control groups": sum(1 for _ in Path("/sys/fs/cgroup").glob(f"**/*klear*{os.getpid()}*")),
        "resident_mib": resident_mib(),
    }


def _children_after_kills() -> int:
    """Living children, once what is being killed has had time to go; zombies that came to us are buried."""
    deadline = time.monotonic() + 1
    count = -1
    while time.monotonic() < deadline:
        previous, count = count, len(_living_children())
        if count == previous:
            break
        time.sleep(0.05)
    return count


def _living_children() -> list[int]:
    me, found = str(os.getpid()), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # ended meanwhile
        if parent == me and state != "Z":
            found.append(int(entry.name))
    return found
