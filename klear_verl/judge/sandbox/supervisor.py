# SPDX-License-Identifier: Apache-2.0
"""The supervisor's side of a zygote: starts it, and has it start a solution process for each solution.

No untrusted code runs in this process, and expected outputs never leave it. `session.py` speaks with the solution
process.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from klear_verl.errors import EnvironmentProblem
from klear_verl.judge.sandbox.cgroup import Cgroup
from klear_verl.judge.sandbox.zygote.solution_process import MAX_MESSAGE

ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # One arena: each page that the allocator touches is copied after every fork.
    "MALLOC_ARENA_MAX": "1",
}
"""All that a solution finds in os.environ. The hash seed makes the order of sets, and so the verdict, repeatable."""

_ZYGOTE = Path(__file__).with_name("zygote")
_START_S = 120.0
_USERS = 100


class SandboxFailure(Exception):
    """The zygote or a solution process ended or does not answer: our own failure, never the solution's."""


@dataclass(frozen=True)
class ZygoteSetup:
    """What a zygote is told once.

    `seccomp` are the compiled BPF programs of `seccomp.py` (none: no filter). Paths are for the new root, for Landlock
    and for `sys.path`. `uids` are the first of the users that solutions run as, and the first beyond them (equal: the
    judge's own).
    """

    preload: tuple[str, ...]
    site: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    seccomp: tuple[bytes, ...] = ()
    landlock: bool = True
    namespaces: bool = True
    uids: tuple[int, int] = (0, 0)

    def with_preload(self, modules: tuple[str, ...]) -> ZygoteSetup:
        """The set-up of a zygote that preloads more."""
        return replace(self, preload=(*self.preload, *modules))

    def message(self) -> bytes:
        """The zygote's first message."""
        programs = [program.hex() for program in self.seccomp]
        return json.dumps({**vars(self), "seccomp": programs}).encode()


class Zygote:
    """One zygote process. Thread-safe. Starts, and restarts, by itself."""

    def __init__(self, setup: ZygoteSetup, cgroup: Cgroup | None = None):
        self._setup = setup
        self._cgroup = cgroup
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self.refused = ""
        """Why there are no namespaces; "" if there are, or before the start."""

    @property
    def pid(self) -> int | None:
        """The process, if it has been started."""
        return self._process.pid if self._process else None

    def start(self) -> str:
        """Starts the process, if there is none; returns why there are no namespaces, or no root of its own ("").

        Raises:
            EnvironmentProblem: it can't be started.
        """
        with self._lock:
            self._ensure()
        return self.refused

    def change_users(self, uids: tuple[int, int]) -> None:
        """From the next start on, runs solutions as other users."""
        with self._lock:
            self._end()
            self._setup = replace(self._setup, uids=uids)

    def start_solution_process(self) -> socket.socket:
        """Starts a solution process and returns the supervisor's end of its socket.

        Raises:
            SandboxFailure: the zygote ended just now; the next call starts a new one.
            EnvironmentProblem: no zygote can be started.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, self._lock:
            try:
                socket.send_fds(self._ensure(), [b"start"], [theirs.fileno()])
            except OSError as error:
                ours.close()
                status = self._process.poll() if self._process else None
                self._end()
                raise SandboxFailure(f"the zygote failed (exit status {status}): {error}") from error
            except EnvironmentProblem:
                ours.close()
                raise
        return ours

    def _ensure(self) -> socket.socket:
        if self._process is not None and self._process.poll() is None and self._control is not None:
            return self._control
        self._end()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(
                # Not -I: it would ignore PYTHONHASHSEED; -P, -s and the environment below give the same isolation.
                [sys.executable, "-P", "-s", "-S", "-B", str(_ZYGOTE / "__main__.py"), str(theirs.fileno())],
                env=ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
            theirs.close()
            self._control = ours
            if self._cgroup is not None:
                self._cgroup.add(self._process.pid)
            ours.settimeout(_START_S)
            try:
                ours.send(self._setup.message())
                ready = ours.recv(MAX_MESSAGE)
            except OSError:
                ready = b""
            if not ready:
                errors.seek(0)
                said = errors.read().decode("utf-8", "replace").strip()
                self._end()
                raise EnvironmentProblem(
                    f"the judge's zygote process does not start: {said[-2000:] or 'no message'}",
                    f"check that {sys.executable} runs and that memory and processes are available (ulimit -a)",
                )
        self.refused = json.loads(ready)["refused"]
        ours.settimeout(None)
        return ours

    def close(self) -> None:
        """Ends the zygote and all that it runs."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                # It ends when the connection does; the kill below is for one that can't any more.
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def own_uids() -> tuple[int, int]:
    """User ids for solutions that no one else has: for root only, and where they exist in this user namespace. Equal
    where there are none.
    """
    if os.geteuid() != 0:
        return 0, 0
    with open("/proc/self/uid_map") as file:
        ranges = [(int(first), int(first) + int(count)) for first, _, count in map(str.split, file)]
    for first in (1_900_000_000 + os.getpid() % 60_000 * _USERS, 61_000 + os.getpid() % 40 * _USERS):
        if any(low <= first and first + _USERS <= high for low, high in ranges):
            return first, first + _USERS
    return 0, 0
