# SPDX-License-Identifier: Apache-2.0
"""Noticing the death of a process without which a run can never go on.

Most such deaths end the run by themselves: a call to the dead process raises. Some leave it waiting, for a reply that
never comes or for Ray, which is slow to report the loss of its own daemons. Covers the processes of this machine: on a
cluster that a run has joined, those of the other nodes are Ray's business.
"""

from __future__ import annotations

import time

import psutil

from klear_verl.launch.processes import is_alive

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
