# SPDX-License-Identifier: Apache-2.0
"""The supervisor's side of one zygote: starts it, sends it one test at a time, and collects what came out.

No untrusted code runs in this process, and expected outputs never leave it. Inputs travel in sealed memory files and
outputs in pipes that only the child holds, so the zygote has nothing to leak from one test to the next. Judging what
came out is `grading.py`'s business.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from klear_verl.errors import EnvironmentProblem
from klear_verl.judge.config import Limits
from klear_verl.judge.zygote.server import MAX_MESSAGE

ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""All that a solution finds in os.environ. The hash seed makes the order of sets, and so the verdict, repeatable."""

_ZYGOTE = Path(__file__).with_name("zygote")
_START_S = 60.0
_GRACE_S = 15.0
_LONGEST_STARVATION = 10.0
_CHUNK = 1 << 16
_REPORT_BYTES = 64 << 20


class ZygoteDied(Exception):
    """The zygote ended or fell silent during a test: our own failure, never the solution's."""


@dataclass(frozen=True)
class ZygoteSetup:
    """What a zygote is told once. `seccomp` is a compiled BPF program (empty: none); paths are for Landlock and
    `sys.path`.
    """

    preload: tuple[str, ...]
    site: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    seccomp: bytes = b""
    landlock: bool = True

    def message(self) -> bytes:
        """The zygote's first message."""
        lists = {"preload": self.preload, "site": self.site, "readable": self.readable, "writable": self.writable}
        seccomp = base64.b64encode(self.seccomp).decode()
        return json.dumps({**lists, "seccomp": seccomp, "landlock": self.landlock}).encode()


@dataclass(frozen=True)
class Outcome:
    """What the kernel and the pipes say about one run. `status` is a wait status; `reason` is "exit", "cpu", "wall"
    or "output".
    """

    status: int
    reason: str
    cpu_s: float
    wall_s: float
    peak_mib: float
    stdout: bytes
    stderr: bytes
    report: bytes
    leftovers: int = 0


@dataclass
class _Sink:
    """The receiving end of a pipe: keeps the first `keep` bytes, or the last ones, and says when there were more."""

    fd: int
    keep: int
    tail: bool = False
    data: bytearray = field(default_factory=bytearray)
    overflowed: bool = False

    def drain(self) -> bool:
        """Reads what is there. True at the end of the stream."""
        while True:
            try:
                chunk = os.read(self.fd, _CHUNK)
            except BlockingIOError:
                return False
            if not chunk:
                return True
            self.data += chunk
            if len(self.data) > self.keep:
                self.overflowed = True
                if self.tail:
                    del self.data[: len(self.data) - self.keep]
                else:
                    del self.data[self.keep :]
                    return False  # the caller ends the run: no use in reading on


class Zygote:
    """One zygote process and its private working folder. Not thread-safe: one caller at a time. Starts, and
    restarts, by itself.
    """

    def __init__(self, setup: ZygoteSetup):
        self._setup = setup
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._folder = ""

    def run(self, mode: str, payload: bytes, stdin: bytes, test: bytes, limits: Limits, seed: int) -> Outcome:
        """Runs one test.

        Args:
            mode: "stdio", "call", "assert" or "pytest"; see `zygote/program.py`.
            payload: JSON for the child: source, entry point, arguments.
            stdin: what the program finds on standard input.
            test: token and test code, for the modes that have them.

        Raises:
            ZygoteDied: nothing was learnt about the solution; the next run starts a new zygote.
            EnvironmentProblem: no zygote can be started.
        """
        control = self._ensure()
        with ExitStack() as stack:
            inputs = [stack.enter_context(_memory_file(data)) for data in (stdin, payload, test)]
            pipes = [stack.enter_context(_pipe()) for _ in range(3)]
            sinks = [
                _Sink(pipes[0][0], int(limits.stdout_mib * (1 << 20))),
                _Sink(pipes[1][0], limits.stderr_kib << 10, tail=True),
                _Sink(pipes[2][0], min(_REPORT_BYTES, int(limits.stdout_mib * (1 << 20)) + 4096)),
            ]
            out, err, report = (write for _, write in pipes)
            request = {"limits": limits.model_dump(), "mode": mode, "seed": seed}
            try:
                try:
                    fds = [inputs[0], out, err, report, inputs[1], inputs[2]]
                    socket.send_fds(control, [json.dumps(request).encode()], fds)
                finally:
                    for fd in (out, err, report):
                        os.close(fd)
                reply, overflowed = self._collect(control, sinks, limits)
            except (OSError, ZygoteDied) as error:
                status = self._process.poll() if self._process else None
                self.close()
                raise ZygoteDied(f"the zygote failed (exit status {status}): {error}") from error
        self._tidy()
        stdout, stderr, said = (bytes(sink.data) for sink in sinks)
        if overflowed:
            reply["reason"] = "output"
        return Outcome(stdout=stdout, stderr=stderr, report=said, **reply)

    def _collect(self, control: socket.socket, sinks: list[_Sink], limits: Limits) -> tuple[dict[str, Any], bool]:
        poll = select.poll()
        poll.register(control, select.POLLIN)
        by_fd = {sink.fd: sink for sink in sinks}
        for fd in by_fd:
            poll.register(fd, select.POLLIN)
        deadline = time.monotonic() + _LONGEST_STARVATION * limits.wall_s + _GRACE_S
        killed = False
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ZygoteDied("no answer in time")
            for fd, _ in poll.poll(1000 * left):
                if fd == control.fileno():
                    message = control.recv(MAX_MESSAGE)
                    if not message:
                        raise ZygoteDied("it closed the connection")
                    for sink in by_fd.values():
                        sink.drain()
                    return json.loads(message), any(sink.overflowed and not sink.tail for sink in sinks)
                sink = by_fd[fd]
                finished = sink.drain()
                too_much = sink.overflowed and not sink.tail
                if finished or too_much:
                    poll.unregister(fd)
                    del by_fd[fd]
                if too_much and not killed:
                    control.send(b"kill")
                    killed = True

    def _ensure(self) -> socket.socket:
        if self._process is not None and self._process.poll() is None and self._control is not None:
            return self._control
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._folder = tempfile.mkdtemp(prefix="judge-")
        with theirs, tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(
                # Not -I: it would ignore PYTHONHASHSEED; -P, -s and the environment below give the same isolation.
                [sys.executable, "-P", "-s", "-S", "-B", str(_ZYGOTE / "__main__.py"), str(theirs.fileno())],
                env=ENVIRONMENT,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
            theirs.close()
            self._control = ours
            ours.settimeout(_START_S)
            try:
                ours.send(self._setup.message())
                ready = ours.recv(MAX_MESSAGE)
            except OSError:
                ready = b""
            if ready != b"ready":
                errors.seek(0)
                said = errors.read().decode("utf-8", "replace").strip()
                self.close()
                raise EnvironmentProblem(
                    f"the judge's zygote process does not start: {said[-2000:] or 'no message'}",
                    f"check that {sys.executable} runs and that memory and processes are available (ulimit -a)",
                )
        ours.settimeout(None)
        return ours

    def _tidy(self) -> None:
        """Leaves nothing in the working folder: where Landlock is missing, a name there would be a message to the
        next test.
        """
        for entry in os.scandir(self._folder):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)

    def close(self) -> None:
        """Ends the zygote and all that it runs, and removes its folder."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                # It kills its child when the connection ends; the kill below is for one that can't any more.
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""


@contextmanager
def _memory_file(data: bytes) -> Iterator[int]:
    """A read-only file in memory that holds `data`, at its beginning."""
    fd = os.memfd_create("input", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(fd, 0, os.SEEK_SET)
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose reading end does not block. Only that end is closed here: the caller gives the other away."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    try:
        yield read, write
    finally:
        os.close(read)
