# SPDX-License-Identifier: Apache-2.0
"""One solution under judgement: the supervisor's talk with its warden.

Inputs go in one test at a time, in files in memory, and outputs come back in others. Limits are `watch.py`'s business,
and judging what came out is `grading.py`'s.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from klear_verl.judge.config import Limits
from klear_verl.judge.sandbox import processes
from klear_verl.judge.sandbox.fork_requests import Questions
from klear_verl.judge.sandbox.memory_file import memory_file, read_all, read_tail
from klear_verl.judge.sandbox.monitor import Watch, failure
from klear_verl.judge.sandbox.sequential_host import Turns
from klear_verl.judge.sandbox.supervisor import Zygote, ZygoteDied
from klear_verl.judge.sandbox.zygote import solution_process

_VALUE_BYTES = 64 << 20
_REPORT_BYTES = 4096
_ANCILLARY = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4)


class Rejected(Exception):
    """The solution does not compile; the message says why."""


class DiedCompiling(ZygoteDied):
    """The warden ended while it compiled: the program crashes the compiler, if it happens again."""


@dataclass(frozen=True)
class Outcome:
    """What the kernel says about one run, and what the run left behind. `status` is a wait status; `reason` is "exit",
    "cpu", "wall" or "threads". `value` is what a call left in its file; `report` and `tester_status` are those of the
    process that ran the asserts.
    """

    status: int
    reason: str
    cpu_s: float
    wall_s: float
    peak_mib: float
    stdout: bytes = b""
    stderr: bytes = b""
    value: bytes = b""
    report: bytes = b""
    tester_status: int = 0


class Session:
    """A compiled solution in a warden of its own. Not thread-safe. Close it, or use it as a context manager.

    Raises:
        Rejected: the source does not compile.
        ZygoteDied: our own failure; nothing was learnt about the solution.
        EnvironmentProblem: no zygote can be started.
    """

    def __init__(
        self,
        zygote: Zygote,
        source: bytes,
        limits: Limits,
        budget_cpu_s: float,
        seed: int = 0,
        entry_point: str | None = None,
    ):
        self._limits = limits
        self._pidfd = -1
        self._watch: Watch | None = None
        self._questions: Questions | None = None
        self._turns: Turns | None = None
        self._idle = False
        self._session = zygote.start_warden()
        try:
            self._introduce(source, budget_cpu_s, seed, entry_point)
        except BaseException:
            self.close()
            raise

    def _introduce(self, source: bytes, budget_cpu_s: float, seed: int, entry_point: str | None) -> None:
        limits = self._limits
        numbers = (
            limits.memory_mib << 20,
            int(limits.stdout_mib * (1 << 20)),
            limits.open_files,
            # Whole seconds, and later than we will be.
            math.ceil(max(limits.cpu_s, budget_cpu_s)) + 2,
            seed,
        )
        # With the answer comes the kernel's own word for who sent it, as a process number of ours.
        self._session.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with _files(source) as (file,):
            self._send(solution_process.PROGRAM.pack(*numbers) + (entry_point or "").encode(), [file])
        pid = self._meet()
        before_s = processes.cpu_s(pid)
        message, _, reason = self._watched().wait(limits, before_s, running=lambda: [pid])
        if reason != "exit":
            raise Rejected(f"compiling it takes more than the {reason} limit")
        if message[:1] == solution_process.REJECTED:
            raise Rejected(message[1:].decode("utf-8", "replace"))
        if not message:
            raise DiedCompiling("the warden ended while it compiled the program")
        self._idle = True

    def _meet(self) -> int:
        """Waits until the warden is locked down; returns its process number."""
        ready, ancillary, _, _ = self._session.recvmsg(solution_process.MAX_MESSAGE, _ANCILLARY)
        self._session.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        pid = 0
        for _, kind, data in ancillary:
            number = int.from_bytes(data[:4], "little")
            if kind == socket.SCM_RIGHTS:
                self._questions = Questions(number)
            else:
                pid = number
        if ready != solution_process.READY or not pid:
            raise ZygoteDied(failure(ready))
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError as error:
            raise DiedCompiling("the warden is gone") from error
        self._watch = Watch(self._session, pid, self._pidfd, self._questions)
        return pid

    def _watched(self) -> Watch:
        assert self._watch is not None
        return self._watch

    def run_script(self, stdin: bytes, limits: Limits) -> Outcome:
        """Runs the solution as a script, in a child of its own."""
        with _files(stdin, b"", b"") as fds:
            (ended,), reason = self._run(solution_process.RUN_SCRIPT, fds, limits)
            return self._outcome(ended, reason, fds[1], fds[2])

    def run_call(self, arguments: bytes, limits: Limits) -> Outcome:
        """Calls the solution's entry point with `arguments`, JSON, in a child of its own."""
        with _files(b"", b"", b"", arguments) as fds:
            (ended,), reason = self._run(solution_process.RUN_CALL, fds, limits)
            return self._outcome(ended, reason, fds[1], fds[2], fds[3])

    def run_asserts(self, test: bytes, limits: Limits) -> Outcome:
        """Runs a test in a process of its own, against the solution in another."""
        with _files(b"", b"", b"", test, b"") as (stdin, out, err, code, report):
            solutions_end, testers_end = socket.socketpair()
            # Theirs alone, or neither would see the other hang up.
            with solutions_end, testers_end:
                fds = [stdin, out, err, solutions_end.fileno(), testers_end.fileno(), code, report]
                self._send(solution_process.RUN_ASSERTS, fds)
            # The two together may take twice what the solution alone may: the test's time is not the solution's fault.
            (ended, tester), reason = self._ended(limits.model_copy(update={"cpu_s": 2 * limits.cpu_s}))
            outcome = self._outcome(ended, reason, out, err)
            said = os.pread(report, _REPORT_BYTES, 0)
            return replace(outcome, wall_s=max(outcome.wall_s, tester[2]), tester_status=tester[0], report=said)

    def run_in_turn(self, stdin: bytes, arguments: bytes | None, limits: Limits) -> Outcome:
        """Runs a script, or a call where there are `arguments`, in the child that ran the test before, or in a new one
        if that ended in any way.

        A child that ends abnormally in any but its first test may have died of what an earlier test left in it, so that
        test runs again in a new child.
        """
        fresh = self._turns is None
        outcome, finished = self._take_turn(stdin, arguments, limits)
        if finished or fresh or outcome.reason != "exit":
            return outcome
        again, _ = self._take_turn(stdin, arguments, limits)
        return again

    def _take_turn(self, stdin: bytes, arguments: bytes | None, limits: Limits) -> tuple[Outcome, bool]:
        """(the outcome, whether the test came to its end)"""
        self._idle = False
        if self._turns is None:
            self._turns = self._start_turns(limits)
        turns = self._turns
        started, before_s = time.monotonic(), processes.cpu_s(turns.pid)
        turns.begin(stdin, arguments)
        message, finished, reason = self._watched().wait(limits, before_s, line=turns.line)
        if finished:
            # Whatever it said: the program can say the same, and what counts is what it has left.
            ended = 0, processes.cpu_s(turns.pid) - before_s, time.monotonic() - started, 0
        else:
            ((status, cpu_s, _, peak_kib),) = _ended(message)
            ended = status, max(0.0, cpu_s - before_s), time.monotonic() - started, peak_kib
        outcome = self._outcome(ended, reason, turns.out, turns.err, turns.value)
        if message != turns.DONE:
            if finished:
                self._watched().kill_children()
                _ended(self._watched().wait(limits).message)
            self._end_turns()
        self._idle = True
        return outcome, finished

    def _start_turns(self, limits: Limits) -> Turns:
        turns = Turns()
        try:
            self._send(solution_process.RUN_MANY, turns.fds())
            turns.handed_over()
            hello = self._watched().wait(limits, line=turns.line)
            turns.meet(hello.message, next(iter(self._watched().children()), 0))
        except BaseException:
            turns.close()
            raise
        return turns

    def _end_turns(self) -> None:
        if self._turns is not None:
            self._turns.close()
            self._turns = None

    def _run(self, kind: bytes, fds: list[int], limits: Limits) -> tuple[list[_Ended], str]:
        self._send(kind, fds)
        return self._ended(limits)

    def _ended(self, limits: Limits) -> tuple[list[_Ended], str]:
        self._idle = False
        message, _, reason = self._watched().wait(limits)
        self._idle = True
        return _ended(message), reason

    def _send(self, message: bytes, fds: list[int]) -> None:
        try:
            socket.send_fds(self._session, [message], fds)
        except OSError as error:
            raise ZygoteDied(f"the warden is gone: {error}") from error

    def _outcome(self, ended: _Ended, reason: str, out: int, err: int, value: int = -1) -> Outcome:
        status, cpu_s, wall_s, peak_kib = ended
        return Outcome(
            status,
            reason,
            cpu_s,
            wall_s,
            peak_kib / 1024,
            stdout=read_all(out, int(self._limits.stdout_mib * (1 << 20))),
            stderr=read_tail(err, self._limits.stderr_kib << 10),
            value=b"" if value < 0 else read_all(value, _VALUE_BYTES),
        )

    def close(self) -> None:
        """Ends everything that runs for this solution. Idempotent."""
        if self._turns is not None:
            self._watched().kill_children()
            self._end_turns()
        if self._pidfd >= 0:
            if not self._idle:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._questions is not None:
            self._questions.close()
            self._questions = None
        self._session.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


_Ended = tuple[int, float, float, int]
"""Wait status, CPU seconds, wall seconds, peak resident KiB."""


def _ended(message: bytes) -> list[_Ended]:
    if not message or len(message) % solution_process.ENDED_FIELDS.size:
        raise ZygoteDied(failure(message))
    return [fields[1:] for fields in solution_process.ENDED_FIELDS.iter_unpack(message)]


@contextmanager
def _files(*contents: bytes) -> Iterator[list[int]]:
    """Files in memory with these contents."""
    fds: list[int] = []
    try:
        for content in contents:
            fds.append(memory_file(content))
        yield fds
    finally:
        for fd in fds:
            os.close(fd)
