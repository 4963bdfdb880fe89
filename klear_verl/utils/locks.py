# SPDX-License-Identifier: Apache-2.0
"""One process at a time in a folder or a file.

By flock: the lock goes when the last process that shares its descriptor has ended, however it ends. (Not by the library
filelock: its release unlocks for all who share the descriptor, and the process that cleans up behind a killed training
command must go on holding it.) Where a file system has no flock, such as Lustre mounted without it, taking a lock is
an error, unless KLEAR_NO_LOCKS=1 says that one is not needed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import socket
import sys
import time
from pathlib import Path

from klear_verl.errors import EnvironmentProblem

WITHOUT_LOCKS = "KLEAR_NO_LOCKS"
"""Set to 1, this environment variable lets commands write where the file system has no locks."""
_NO_FLOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_LOOK_EVERY_S = 0.2


class FolderLock:
    """Keeps every other klear command out of a folder until `close`, or the end of this process and of those that
    share the descriptor. The lock's file, `.lock`, stays, and says who holds it."""

    def __init__(self, folder: Path, remedy: str, patience_s: float = 0.0):
        """
        Args:
            remedy: what to do if the folder is taken ("choose another --out").
            patience_s: how long to wait for a holder to end.

        Raises:
            EnvironmentProblem: the folder is taken (names the holder), can't be written, or has no locks.
        """
        path = folder / ".lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+", buffering=0)
        except OSError as error:
            raise EnvironmentProblem(f"{folder} cannot be written ({error.strerror})", remedy) from error
        try:
            lock_descriptor(self.descriptor, folder, remedy, patience_s)
            self._file.truncate(0)
            self._file.write(f"{_this_process()}\n".encode("utf-8", "replace"))
        except BaseException:
            self._file.close()
            raise

    @property
    def descriptor(self) -> int:
        """For a process that is to share the lock."""
        return self._file.fileno()

    def close(self) -> None:
        """Lets go of the lock; a process that shares the descriptor goes on holding it."""
        self._file.close()

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def lock_descriptor(descriptor: int, place: Path, remedy: str, patience_s: float = 0.0) -> None:
    """Locks an open file for all who share the descriptor.

    Args:
        place: what the lock is for, for the message.
        remedy: what to do if it is taken.
        patience_s: how long to wait for a holder to end.

    Raises:
        EnvironmentProblem: another process holds the lock, or the file system has none.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise EnvironmentProblem(
                    f"another process is at work in {place}{_holder(descriptor)}", f"wait for it, end it, or {remedy}"
                ) from error
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            if os.environ.get(WITHOUT_LOCKS) == "1":
                return
            raise EnvironmentProblem(
                f"{place}: the file system has no locks (flock: {error.strerror}), so nothing would keep two commands "
                "from writing there at once",
                f"{remedy} on another file system, have it mounted with flock (Lustre: -o flock), or set "
                f"{WITHOUT_LOCKS}=1 and see to it yourself that one command at a time writes there",
            ) from error
        time.sleep(_LOOK_EVERY_S)


def _holder(descriptor: int) -> str:
    """Who wrote their name into the lock's file; nothing where the lock is on a file of data."""
    text = os.pread(descriptor, 400, 0).decode("utf-8", "replace").split("\n", 1)[0]
    return f" ({text}, or what it started)" if text.startswith("process ") else ""


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}: {shlex.join(sys.argv)[:300]}"
