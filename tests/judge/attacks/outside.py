# SPDX-License-Identifier: Apache-2.0
"""The world that attacks would reach: a bystander process with a secret, listeners, files and System V objects.

`Outside.facts()` is all that an attack could have changed; a run that leaves them as they were has done no harm. An
attack's source names parts of it between @ signs, see `Outside.names`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MARK = "klear_attack"
"""In the name of every file that an attack would leave in a public place."""
SYSTEM_V_KEY = 0x6B6C6561
"""The key of every System V object that an attack would leave."""

_PUBLIC_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
_IPC_PRIVATE = 0
_IPC_RMID = 0
_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmat.restype = ctypes.c_void_p


class Outside:
    """Close it: it holds a process, sockets, a folder, a segment and a queue."""

    def __init__(self) -> None:
        self.token = "TOKEN" + secrets.token_hex(12)
        # What every process that an attack would leave calls itself.
        self._process_name = "klear" + secrets.token_hex(4)
        self._folder = Path(tempfile.mkdtemp(prefix="outside-"))
        self._make_files()
        self._bystander = subprocess.Popen(
            [sys.executable, "-S", "-c", "import sys, time\nprint('up', flush=True)\ntime.sleep(3600)"],
            env={"KLEAR_TOKEN": self.token},
            stdout=subprocess.PIPE,
        )
        assert self._bystander.stdout is not None
        self._bystander.stdout.readline()
        self._listeners = self._listen()
        self._visits: list[str] = []
        self._segment = _libc.shmget(_IPC_PRIVATE, 4096, 0o1666)
        self._queue = _libc.msgget(_IPC_PRIVATE, 0o1666)
        self._fill_system_v()
        tcp, udp = (self._listeners[name].getsockname()[1] for name in ("tcp", "udp"))
        self.names = {
            "PID": self._bystander.pid,
            "SUPERVISOR": os.getpid(),
            "TOKEN": self.token,
            "NAME": self._process_name,
            "FOLDER": self._folder,
            "TESTS": Path(__file__).parent,
            "TCP": tcp,
            "UDP": udp,
            "ABSTRACT": self._abstract,
            "SEGMENT": self._segment,
            "QUEUE": self._queue,
        }
        self._before = self.facts()

    def fill(self, source: str) -> str:
        """`source` with the names between @ signs replaced."""
        for name, value in self.names.items():
            source = source.replace(f"@{name}@", str(value))
        return source

    def harm(self) -> list[str]:
        """What has changed since the start, one line each. What is found once is not said again."""
        after = self.facts()
        changed = [name for name, value in after.items() if value != self._before[name]]
        found = [f"{name}: {self._before[name]!r} became {after[name]!r}" for name in changed]
        self._before = after
        return found

    def facts(self) -> dict[str, object]:
        """All that could have been changed."""
        self._look_for_visits()
        return {
            **_process_facts("bystander", self._bystander.pid),
            **_process_facts("supervisor", os.getpid()),
            "visits": list(self._visits),
            "files of others": self._files(),
            "files left in public places": sorted(
                f"{folder}/{name}" for folder in _PUBLIC_FOLDERS for name in os.listdir(folder) if MARK in name
            ),
            "processes left": _processes_left(self._process_name),
            "System V objects": system_v_objects(),
            "host name": socket.gethostname(),
        }

    def _make_files(self) -> None:
        self._folder.chmod(0o777)
        for name, content, mode in (
            ("key", "a private key", 0o600),
            ("public", "a public text", 0o666),
            ("public_module.py", "answer = 42", 0o644),
        ):
            path = self._folder / name
            path.write_text(content)
            path.chmod(mode)
        os.mkfifo(self._folder / "fifo", 0o666)
        self._fifo = os.open(self._folder / "fifo", os.O_RDWR | os.O_NONBLOCK)

    def _listen(self) -> dict[str, socket.socket]:
        self._abstract = f"klear-{secrets.token_hex(4)}"
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        listeners = {
            "tcp": _bound(socket.AF_INET, stream, ("127.0.0.1", 0)),
            "udp": _bound(socket.AF_INET, datagram, ("127.0.0.1", 0)),
            "abstract": _bound(socket.AF_UNIX, stream, f"\0{self._abstract}"),
            "abstract datagram": _bound(socket.AF_UNIX, datagram, f"\0{self._abstract}_datagram"),
            "path": _bound(socket.AF_UNIX, stream, str(self._folder / "socket")),
            "path datagram": _bound(socket.AF_UNIX, datagram, str(self._folder / "datagram")),
        }
        if socket.has_ipv6:
            # It may be compiled in, but switched off on this machine.
            with contextlib.suppress(OSError):
                listeners["tcp6"] = _bound(socket.AF_INET6, stream, ("::1", listeners["tcp"].getsockname()[1]))
        for name in ("socket", "datagram"):
            (self._folder / name).chmod(0o777)
        return listeners

    def _fill_system_v(self) -> None:
        address = _libc.shmat(self._segment, None, 0)
        ctypes.memmove(address, b"klear", 5)
        _libc.shmdt(ctypes.c_void_p(address))
        message = (ctypes.c_long * 2)(1, 42)
        _libc.msgsnd(self._queue, message, ctypes.c_size_t(8), 0)

    def _look_for_visits(self) -> None:
        for name, listener in self._listeners.items():
            try:
                if listener.type == socket.SOCK_STREAM:
                    listener.accept()[0].close()
                else:
                    listener.recv(99)
            except BlockingIOError:
                continue
            self._visits.append(name)
        try:
            os.read(self._fifo, 99)
            self._visits.append("fifo")
        except BlockingIOError:
            pass

    def _files(self) -> list[tuple[str, int, int, str]]:
        found = []
        for path in sorted(self._folder.iterdir()):
            status = path.lstat()
            text = path.read_text("utf-8", "replace") if path.is_file() else ""
            found.append((path.name, status.st_mode, status.st_mtime_ns, text))
        return found

    def close(self) -> None:
        self._bystander.kill()
        self._bystander.communicate()
        for listener in self._listeners.values():
            listener.close()
        os.close(self._fifo)
        _libc.shmctl(self._segment, _IPC_RMID, None)
        _libc.msgctl(self._queue, _IPC_RMID, None)
        shutil.rmtree(self._folder)

    def __enter__(self) -> Outside:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def system_v_objects() -> int:
    """How many an attack has left."""
    tables = [Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:] for kind in ("shm", "sem", "msg")]
    return sum(int(row.split()[0]) == SYSTEM_V_KEY for table in tables for row in table)


def _bound(family: int, kind: int, address: tuple[str, int] | str) -> socket.socket:
    listener = socket.socket(family, kind)
    listener.setblocking(False)
    listener.bind(address)
    if kind == socket.SOCK_STREAM:
        listener.listen()
    return listener


def _process_facts(who: str, pid: int) -> dict[str, object]:
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    # A running process may be R or S; what matters is whether somebody stopped, traced or killed it.
    state = fields["State"][0]
    return {
        f"{who}: state": "alive" if state in "RSD" else state,
        f"{who}: name, tracer": (fields["Name"], fields["TracerPid"]),
        f"{who}: limits": [resource.prlimit(pid, limit) for limit in range(16)],
        f"{who}: affinity": os.sched_getaffinity(pid),
        f"{who}: priority": (os.getpriority(os.PRIO_PROCESS, pid), os.sched_getscheduler(pid)),
        f"{who}: memory score": Path(f"/proc/{pid}/oom_score_adj").read_text(),
        f"{who}: group": os.getpgid(pid),
    }


def _processes_left(name: str) -> list[str]:
    """Living processes of this name, once a kill has had time to arrive."""
    deadline = time.monotonic() + 2
    while (found := _processes_named(name)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def _processes_named(wanted: str) -> list[str]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                name, _, rest = file.read().partition(b"(")[2].rpartition(b")")
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
        if name == wanted.encode() and not rest.startswith(b" Z"):
            found.append(pid)
    return found
