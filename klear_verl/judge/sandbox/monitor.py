# SPDX-License-Identifier: Apache-2.0
"""Watches what runs for one solution: waits for its end, answers the notifications of the system-call filter, and kills
what exceeds its limits.

CPU time decides; wall time is the backstop, and it leaves out the time for which a program was ready to run but had no
processor.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple

from klear_verl.judge.sandbox import kernel
from klear_verl.judge.sandbox.supervisor import SandboxFailure
from klear_verl.judge.sandbox.zygote import solution_process

MAX_THREADS = 512

_LONGEST_STARVATION = 10.0
_GRACE_S = 60.0
_FIRST_LOOK_S = 0.05
_SHORTEST_WAIT_S = 0.005
_MAX_REFUSED_FORKS = 1000
"""To refuse a fork costs us more than the program that tries, so the limits on its time do not bound ours."""

_NOTIFICATION_RECEIVE, _NOTIFICATION_SEND = 0xC0502100, 0xC0182101
_NOTIFICATION = struct.Struct("<QII64x")
_RESPONSE = struct.Struct("<QqiI")
_CONTINUE = 1

Ending = Literal["exit", "cpu", "wall", "threads"]
"""How a run ended: by itself, or by the limit that it exceeded."""


@dataclass(frozen=True)
class RunLimits:
    """Limits of one run. CPU time decides; wall time is the backstop."""

    cpu_s: float
    wall_s: float
    memory_mib: int
    stdout_mib: float
    stderr_kib: int
    open_files: int

    @property
    def stdout_bytes(self) -> int:
        """The size at which standard output ends."""
        return int(self.stdout_mib * (1 << 20))


class MonitorEvent(NamedTuple):
    """A message (b"": the solution process ended), whether it came from the child, and how the run ended."""

    message: bytes
    from_child: bool
    ending: Ending


class ForkRequests:
    """The seccomp notifications of one solution: a process below the filter wants to make another.

    The kernel stops that process and says which it is; the arguments of its call are in registers, so they can't change
    meanwhile.
    """

    def __init__(self, fd: int):
        self._fd = fd

    def fileno(self) -> int:
        """For poll(2)."""
        return self._fd

    def answer(self, allowed_pid: int) -> bool:
        """Answers one notification: `allowed_pid` may make a process, no other may. Returns whether it was refused."""
        notification = bytearray(_NOTIFICATION.size)
        refused = False
        try:
            fcntl.ioctl(self._fd, _NOTIFICATION_RECEIVE, notification)
            number, pid, _ = _NOTIFICATION.unpack(notification)
            refused = pid != allowed_pid
            error, flags = (-errno.EPERM, 0) if refused else (0, _CONTINUE)
            fcntl.ioctl(self._fd, _NOTIFICATION_SEND, _RESPONSE.pack(number, 0, error, flags))
        except FileNotFoundError:
            pass  # the process was killed meanwhile: there is nothing left to answer
        return refused

    def close(self) -> None:
        """From now on the kernel refuses every fork below the filter."""
        os.close(self._fd)


class Monitor:
    """Watches the solution process `pid`. Closing it kills that process, unless it is idle: then it ends by itself when
    its socket is closed.

    Raises:
        ProcessLookupError: there is no such process any more.
    """

    def __init__(self, channel: socket.socket, pid: int, fork_requests: ForkRequests | None):
        self.pid = pid
        self.busy = True
        self._pidfd = os.pidfd_open(pid)
        self._channel = channel
        self._fork_requests = fork_requests
        self._child: socket.socket | None = None
        self._killing = False
        self._refused_forks = 0
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        if fork_requests is not None:
            self._poll.register(fork_requests, select.POLLIN)

    def children(self) -> list[int]:
        """What runs below the solution process."""
        found: list[int] = []
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, 0)
            found = kernel.children(self.pid)
        return found

    def kill_children(self) -> None:
        """Kills them. Their orphans become children of the solution process, so a later call finds those."""
        for pid in self.children():
            kernel.kill(pid)

    def wait(
        self,
        limits: RunLimits,
        cpu_before_s: float = 0.0,
        running: Callable[[], list[int]] | None = None,
        child: socket.socket | None = None,
    ) -> MonitorEvent:
        """Waits for the solution process's next message, or for one of the `child`, and keeps to the limits meanwhile.

        Args:
            cpu_before_s: CPU time of the running processes that doesn't count.
            running: their numbers; by default the children of the solution process.
            child: the socket of a child that has one.

        Raises:
            SandboxFailure: the solution process reports a failure of ours, or a program can't be killed.
        """
        self.busy, self._killing = True, False
        started = time.monotonic()
        ending: Ending = "exit"
        looks, look_at = 0, started + _FIRST_LOOK_S
        if child is not None:
            self._watch_child(child)
        try:
            while (received := self._receive(look_at)) is None:
                now = time.monotonic()
                if self._killing:
                    self.kill_children()
                    look_at = now + _SHORTEST_WAIT_S
                elif now >= look_at:
                    pids = self.children() if running is None else running()
                    ending, wait_s = _over_limit(pids, limits, cpu_before_s, now - started)
                    self._killing = ending != "exit"
                    # The first looks come early, for the sake of programs that start threads as fast as they can.
                    looks += 1
                    look_at = now + min(wait_s, _FIRST_LOOK_S * 2**looks)
                    if self._killing and running is not None:
                        for pid in pids:
                            kernel.kill(pid)
                if now - started > _LONGEST_STARVATION * limits.wall_s + _GRACE_S:
                    raise SandboxFailure("a program can't be killed")
        finally:
            if self._child is not None:
                self._watch_child(None)
        self.busy = False
        return MonitorEvent(*received, ending)

    def _watch_child(self, child: socket.socket | None) -> None:
        if self._child is not None:
            self._poll.unregister(self._child)
        if child is not None:
            self._poll.register(child, select.POLLIN)
        self._child = child

    def _receive(self, until: float) -> tuple[bytes, bool] | None:
        """The next message, and whether it came from the child; None if something else happened, or nothing in time."""
        received = None
        for fd, _ in self._poll.poll(max(0.0, 1000 * (until - time.monotonic()))):
            if self._child is not None and fd == self._child.fileno():
                message = _receive(self._child)
                if message:
                    received = message, True
                else:
                    self._watch_child(None)
            elif self._fork_requests is not None and fd == self._fork_requests.fileno():
                self._refused_forks += self._fork_requests.answer(self.pid)
                self._killing |= self._refused_forks > _MAX_REFUSED_FORKS
            else:
                message = _receive(self._channel)
                if message[:1] == solution_process.FAILED:
                    raise SandboxFailure(failure(message))
                if message == solution_process.ORPHANS:
                    self._killing = True
                else:
                    received = message, False
            if received is not None:
                break
        return received

    def close(self) -> None:
        """Kills the solution process if it is busy, and stops watching it."""
        if self.busy:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.close(self._pidfd)


def _over_limit(pids: list[int], limits: RunLimits, cpu_before_s: float, elapsed_s: float) -> tuple[Ending, float]:
    """(the limit that is exceeded, or "exit" for none; how long to wait before the next look)"""
    cpu_left_s = limits.cpu_s - (sum(map(kernel.cpu_s, pids)) - cpu_before_s)
    wall_left_s = limits.wall_s - elapsed_s
    if wall_left_s <= 0 and elapsed_s < _LONGEST_STARVATION * limits.wall_s:
        wall_left_s += max(map(kernel.starved_s, pids), default=0.0)
    ending: Ending = "exit"
    if any(kernel.threads(pid) > MAX_THREADS for pid in pids):
        ending = "threads"
    elif cpu_left_s <= 0:
        ending = "cpu"
    elif wall_left_s <= 0:
        ending = "wall"
    # Several threads can use CPU faster than time passes, so the limit is approached by halves.
    wait_s = max(_SHORTEST_WAIT_S, min(cpu_left_s / 2, wall_left_s)) if ending == "exit" else 0.0
    return ending, wait_s


def _receive(channel: socket.socket) -> bytes:
    """The next message; b"" if the other end is gone."""
    try:
        message = channel.recv(solution_process.MAX_MESSAGE)
    except ConnectionResetError:
        message = b""
    return message


def failure(message: bytes) -> str:
    """What a message of the solution process says that should have been another."""
    return message[1:].decode("utf-8", "replace") if message else "the solution process ended without a message"
