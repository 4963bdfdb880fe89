# SPDX-License-Identifier: Apache-2.0
"""A command all of whose processes can be found again, wherever they have been re-parented to, and ended."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

SHARED_MEMORY = Path("/dev/shm")


class MarkedCommand:
    """Starts `command` with `environment` on top of this process's, its output going to a file. `mark` is the
    `NAME=value` of the environment by which its processes are known. Nothing of it is left at the end of the `with`
    block."""

    def __init__(self, command: Sequence[str], output: Path, environment: Mapping[str, str], mark: str):
        self._mark = mark.encode()
        self._output = output
        self._mapped: set[str] = set()
        name, _, value = mark.partition("=")
        with output.open("w") as sink:
            self.process = subprocess.Popen(
                command, stdout=sink, stderr=subprocess.STDOUT, env={**os.environ, **environment, name: value}
            )
        self.root = psutil.Process(self.process.pid)  # now: the number may belong to another process later
        self._seen = {self.root}

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def output(self) -> str:
        """What the command has shown so far."""
        return self._output.read_text(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """All living processes of the command: those that carry its mark in their environment, and the descendants of
        any that was ever seen, since a renamed process may have overwritten its environment."""
        children: dict[int, list[psutil.Process]] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                children.setdefault(process.ppid(), []).append(process)
                if self._mark in _environment(process.pid):
                    self._seen.add(process)
        living = [process for process in self._seen if _is_alive(process)]
        while living:
            new = [child for child in children.get(living.pop().pid, ()) if child not in self._seen]
            self._seen.update(new)
            living += new
        return [process for process in self._seen if _is_alive(process)]

    def mapped_segments(self) -> set[str]:
        """Names of the shared memory that the command's processes have mapped now, or had at an earlier call."""
        inodes = set()
        for process in self.processes():
            with contextlib.suppress(OSError):  # it has just ended
                maps = Path(f"/proc/{process.pid}/maps").read_text(errors="replace")
                inodes |= {line.split(maxsplit=5)[4] for line in maps.splitlines() if f"{SHARED_MEMORY}/" in line}
        # By inode: a semaphore is mapped under the temporary name that it was created with.
        self._mapped |= {entry.name for entry in os.scandir(SHARED_MEMORY) if str(entry.inode()) in inodes}
        return self._mapped

    def segments_left(self) -> list[str]:
        """Of the shared memory that was seen mapped, what is still there."""
        return sorted(name for name in self._mapped if (SHARED_MEMORY / name).exists())

    def end(self) -> None:
        """Kills whatever is left, and removes the shared memory that it had mapped."""
        self.mapped_segments()
        while left := self.processes():
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=1.0)
        self.process.wait()
        for name in self._mapped:
            (SHARED_MEMORY / name).unlink(missing_ok=True)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _environment(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
