# SPDX-License-Identifier: Apache-2.0
"""The watch over what runs for one solution: waits for its end, answers the questions of the system-call filter, and
kills what exceeds its limits.

CPU time decides; wall time is the backstop, and it leaves out the time for which a program was ready to run but had no
processor.
"""

from __future__ import annotations

import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from klear_verl.judge.config import Limits
from klear_verl.judge.sandbox import processes
from klear_verl.judge.sandbox.fork_requests import Questions
from klear_verl.judge.sandbox.supervisor import ZygoteDied
from klear_verl.judge.sandbox.zygote import solution_process

_LONGEST_STARVATION = 10.0
_GRACE_S = 60.0
_FIRST_LOOK_S = 0.05
_SHORTEST_WAIT_S = 0.005
MAX_THREADS = 512
_REFUSALS = 1000
"""Questions whose answer is no cost us more than the program that asks, so its time does not bound them."""


class Heard(NamedTuple):
    """A message (b"": the warden ended), whether it came over the child's line, and "exit", or which limit the program
    exceeded ("cpu", "wall", "threads").
    """

    message: bytes
    from_child: bool
    reason: str


class Watch:
    """`pid` is the warden in our numbers, `pidfd` the same for good."""

    def __init__(self, session: socket.socket, pid: int, pidfd: int, questions: Questions | None):
        self._session = session
        self._pid = pid
        self._pidfd = pidfd
        self._questions = questions
        self._refusals = 0
        self._poll = select.poll()
        self._poll.register(session, select.POLLIN)
        if questions is not None:
            self._poll.register(questions, select.POLLIN)

    def children(self) -> list[int]:
        """What runs below the warden."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, 0)
            return processes.children(self._pid)
        return []

    def kill_children(self) -> None:
        """Kills them. Their orphans become the warden's children, so they come into view in their turn."""
        for pid in self.children():
            processes.kill(pid)

    def wait(
        self,
        limits: Limits,
        cpu_before_s: float = 0.0,
        running: Callable[[], list[int]] | None = None,
        line: socket.socket | None = None,
    ) -> Heard:
        """Waits for the warden's next message, or for one on `line`.

        Args:
            cpu_before_s: CPU time of the running processes that doesn't count.
            running: their numbers; by default the warden's children.

        Raises:
            ZygoteDied: the warden reports a failure of ours, or a program can't be killed.
        """
        started = time.monotonic()
        reason, killing = "exit", False
        looks = 0
        look_at = started + _FIRST_LOOK_S
        if line is not None:
            self._poll.register(line, select.POLLIN)
        try:
            while True:
                for fd, _ in self._poll.poll(max(0.0, 1000 * (look_at - time.monotonic()))):
                    if line is not None and fd == line.fileno():
                        message = _receive(line)
                        if message:
                            return Heard(message, True, reason)
                        self._poll.unregister(line)
                        line = None
                    elif self._questions is not None and fd == self._questions.fileno():
                        killing |= self._answer()
                    else:
                        message = _receive(self._session)
                        if message[:1] == solution_process.FAILED:
                            raise ZygoteDied(failure(message))
                        if message != solution_process.ORPHANS:
                            return Heard(message, False, reason)
                        killing = True
                now = time.monotonic()
                if killing:
                    self.kill_children()
                    look_at = now + _SHORTEST_WAIT_S
                elif now >= look_at:
                    pids = self.children() if running is None else running()
                    reason, wait_s = _over_limit(pids, limits, cpu_before_s, now - started)
                    killing = reason != "exit"
                    # The first looks come early, for the sake of programs that start threads as fast as they can.
                    looks += 1
                    look_at = now + min(wait_s, _FIRST_LOOK_S * 2**looks)
                    if killing and running is not None:
                        for pid in pids:
                            processes.kill(pid)
                if now - started > _LONGEST_STARVATION * limits.wall_s + _GRACE_S:
                    raise ZygoteDied("a program can't be killed")
        finally:
            if line is not None:
                self._poll.unregister(line)

    def _answer(self) -> bool:
        """Answers a question; whether the program that asks has asked often enough."""
        assert self._questions is not None
        if self._questions.answer(self._pid):
            return False
        self._refusals += 1
        return self._refusals > _REFUSALS


def _over_limit(pids: list[int], limits: Limits, cpu_before_s: float, elapsed_s: float) -> tuple[str, float]:
    """("cpu", "wall", "threads" or, for none, "exit"; how long to wait before the next look)"""
    if any(processes.threads(pid) > MAX_THREADS for pid in pids):
        return "threads", 0.0
    cpu_left_s = limits.cpu_s - (sum(map(processes.cpu_s, pids)) - cpu_before_s)
    if cpu_left_s <= 0:
        return "cpu", 0.0
    wall_left_s = limits.wall_s - elapsed_s
    if wall_left_s <= 0:
        if elapsed_s < _LONGEST_STARVATION * limits.wall_s:
            wall_left_s += max(map(processes.starved_s, pids), default=0.0)
        if wall_left_s <= 0:
            return "wall", 0.0
    # Several threads can use CPU faster than time passes, so the limit is approached by halves.
    return "exit", max(_SHORTEST_WAIT_S, min(cpu_left_s / 2, wall_left_s))


def _receive(channel: socket.socket) -> bytes:
    """The next message; b"" if the other end is gone."""
    try:
        return channel.recv(solution_process.MAX_MESSAGE)
    except ConnectionResetError:
        return b""


def failure(message: bytes) -> str:
    """What a message of the warden says that should have been another."""
    return message[1:].decode("utf-8", "replace") if message else "the warden ended without a word"
