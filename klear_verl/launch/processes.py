# SPDX-License-Identifier: Apache-2.0
"""The processes of a run: noticing the death of one without which it cannot go on, and ending all it started, whatever
they re-parented to, with its shared memory.

Most such deaths end the run by themselves: a call to the dead process raises. Some leave it waiting, for a reply that
never comes or for Ray, which is slow to report the loss of its own daemons. Covers the processes of this machine: on a
cluster that a run has joined, those of the other nodes are Ray's business.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SHARED_MEMORY = Path("/dev/shm")
SEGMENTS = ("psm_", "verl_weights_", "sem.mp-", "torch_", "vllm")
"""How the names of segments begin that multiprocessing, verl, torch and vLLM make."""


def adopt_orphans() -> None:
    """Makes this process the parent of every descendant whose own parent dies, so that none can escape
    `end_descendants`."""
    _prctl("PR_SET_CHILD_SUBREAPER", PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the thread that started it ends. Survives an exec, not a fork.

    Args:
        parent: the parent's process id: it may have died before this call, of which the kernel would say nothing.
    """
    _prctl("PR_SET_PDEATHSIG", PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _prctl(name: str, option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({name}): {os.strerror(error)}")


def end_descendants(patience_s: float = 5.0) -> int:
    """Ends all descendants of this process: asked first, killed after `patience_s`. Returns how many there were."""
    seen: set[int] = set()
    deadline = time.monotonic() + patience_s
    while descendants := [p for p in psutil.Process().children(recursive=True) if is_alive(p)]:
        for process in descendants:
            polite = time.monotonic() < deadline
            if polite and process.pid in seen:
                continue
            seen.add(process.pid)
            try:
                process.terminate() if polite else process.kill()
            except psutil.NoSuchProcess:
                continue  # it ended by itself in the meantime, which is what we want
        psutil.wait_procs(descendants, timeout=0.5)
        if time.monotonic() > deadline + 30:
            raise RuntimeError(f"processes that cannot be killed: {[p.pid for p in descendants]}")
    return len(seen)


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie that its parent has yet to reap does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def shared_memory_segments(folder: Path | None = None) -> set[str]:
    """Names of the segments of this user in `folder`, SHARED_MEMORY by default."""
    folder = folder or SHARED_MEMORY
    if not folder.is_dir():
        return set()
    return {entry.name for entry in folder.iterdir() if entry.name.startswith(SEGMENTS) and _is_mine(entry)}


def _is_mine(entry: Path) -> bool:
    try:
        return entry.lstat().st_uid == os.getuid()
    except FileNotFoundError:
        return False  # another program removed its segment between the listing and the look


def orphaned_segments(folder: Path | None = None) -> list[str]:
    """Names of those segments that no living process has mapped."""
    folder = folder or SHARED_MEMORY
    return [name for name in sorted(shared_memory_segments(folder)) if not _is_mapped(folder / name)]


def sweep_shared_memory(before: set[str]) -> list[str]:
    """Removes the segments that appeared since `before` and that no living process has mapped; returns their names.

    Call it after `end_descendants`. Segments of another run on this machine are mapped by that run, and so stay.
    """
    removed = []
    for name in sorted(shared_memory_segments() - before):
        if not _is_mapped(SHARED_MEMORY / name):
            (SHARED_MEMORY / name).unlink(missing_ok=True)
            removed.append(name)
    return removed


def _is_mapped(segment: Path) -> bool:
    """By inode: a semaphore is mapped under the temporary name it was created with, not under its own."""
    try:
        inode = segment.lstat().st_ino
    except FileNotFoundError:
        return False
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            lines = maps.read_text(errors="replace").splitlines()
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue  # another user's process, or one that just ended: neither maps a segment of ours
        if any(f"{segment.parent}/" in line and line.split(maxsplit=5)[4] == str(inode) for line in lines):
            return True
    return False


WATCHED = {
    "/gcs/gcs_server": None,
    "/raylet/raylet": None,
    "ray::TaskRunner": "/raylet/raylet",
    "ray::WorkerDict": "/raylet/raylet",
    "ray::vLLMHttpServer": "/raylet/raylet",
    "VLLM::EngineCore": "ray::vLLMHttpServer",
    "VLLM::Worker": "VLLM::EngineCore",
    "ray::GlobalRequestLoadBalancer": "/raylet/raylet",
    "ray::AgentLoopWorker": "/raylet/raylet",
    "ray::RewardLoopWorker": "/raylet/raylet",
    "ray::TransferQueueController": "/raylet/raylet",
    "ray::SimpleStorageUnit": "/raylet/raylet",
}
"""The processes, those on which others depend first, and their parents. Ray and vLLM rename theirs; a child of one of
them has its name until it becomes something else, hence the parents."""

LOOK_EVERY_S = 5.0
GRACE_S = 60.0
"""How long a run may go on after such a death. At a run's regular end its processes go one by one, and a machine under
load takes its time over that."""


class Liveness:
    """Watches those descendants of this process without which the run cannot go on."""

    def __init__(self) -> None:
        self._seen: dict[psutil.Process, str] = {}
        self._died_at: dict[psutil.Process, float] = {}
        self._next_look = 0.0

    def overdue(self) -> str | None:
        """Says which process has been dead for `GRACE_S`, if one has. Cheap to call often: it looks every
        `LOOK_EVERY_S`."""
        now = time.monotonic()
        if now < self._next_look:
            return None
        self._next_look = now + LOOK_EVERY_S
        for process in psutil.Process().children(recursive=True):
            if process not in self._seen and (name := _watched_name(process)):
                self._seen[process] = name
        for process in self._seen:
            if not is_alive(process):
                self._died_at.setdefault(process, now)
        overdue = [process for process, died_at in self._died_at.items() if now - died_at >= GRACE_S]
        if not overdue:
            return None
        order = list(WATCHED)
        first = min(overdue, key=lambda process: (self._died_at[process], order.index(self._seen[process])))
        name = self._seen[first].rsplit("/", 1)[-1]
        return f"{name} (process {first.pid}) died, and the run had not ended {GRACE_S:.0f} s later"


def _watched_name(process: psutil.Process) -> str | None:
    try:
        name = _matching(process)
        if name is None:
            return None
        parent = process.parent()
        of_parent = _matching(parent) if parent else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None  # it has ended in the meantime
    expected = WATCHED[name]
    return name if (of_parent == expected if expected else of_parent != name) else None


def _matching(process: psutil.Process) -> str | None:
    title = "".join(process.cmdline()[:1])
    return next((name for name in WATCHED if title.endswith(name) or (":" in name and title.startswith(name))), None)
