# SPDX-License-Identifier: Apache-2.0
"""One solution under judgement: the supervisor's talk with its warden, and the watch over its limits.

Inputs go in one test at a time, in files in memory, and outputs come back in others. CPU time decides; wall time is the
backstop, and it leaves out the time for which a program was ready to run but had no processor. Judging what came out is
`grading.py`'s business.
"""

from __future__ import annotations

import math
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from klear_verl.judge import processes
from klear_verl.judge.config import Limits
from klear_verl.judge.memory_file import memory_file, read_all, read_tail
from klear_verl.judge.questions import Questions
from klear_verl.judge.supervisor import Zygote, ZygoteDied
from klear_verl.judge.turns import Turns
from klear_verl.judge.zygote import warden

_LONGEST_STARVATION = 10.0
_GRACE_S = 60.0
_SHORTEST_WAIT_S = 0.005
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
    "cpu" or "wall". `value` is what a call left in its file; `report` and `tester_status` are those of the process that
    ran the asserts.
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
        self._warden = -1
        self._pid = 0
        self._turns: Turns | None = None
        self._questions: Questions | None = None
        self._idle = False
        self._session = zygote.start_warden()
        self._poll = select.poll()
        self._poll.register(self._session, select.POLLIN)
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
            math.ceil(limits.cpu_s) + 1,
            math.ceil(budget_cpu_s) + 1,
            seed,
        )
        # With the answer comes the kernel's own word for who sent it, as a process number of ours.
        self._session.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with _files(source) as (file,):
            self._send(warden.PROGRAM.pack(*numbers) + (entry_point or "").encode(), [file])
        ready, ancillary, _, _ = self._session.recvmsg(warden.MAX_MESSAGE, _ANCILLARY)
        self._session.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        for _, kind, data in ancillary:
            number = int.from_bytes(data[:4], "little")
            if kind == socket.SCM_RIGHTS:
                self._questions = Questions(number)
                self._poll.register(self._questions, select.POLLIN)
            else:
                self._pid = number
        if ready != warden.READY:
            raise ZygoteDied(_failure(ready))
        try:
            self._warden = os.pidfd_open(self._pid)
        except ProcessLookupError as error:
            raise DiedCompiling("the warden is gone") from error
        before = processes.cpu_s(self._pid)
        message, reason = self._await(self._limits, before, lambda: [self._pid])
        if reason != "exit":
            raise Rejected(f"compiling it takes more than the {reason} limit")
        if message[:1] == warden.REJECTED:
            raise Rejected(message[1:].decode("utf-8", "replace"))
        if not message:
            raise DiedCompiling("the warden ended while it compiled the program")
        self._idle = True

    def run_script(self, stdin: bytes, limits: Limits) -> Outcome:
        """Runs the solution as a script, in a child of its own."""
        with _files(stdin, b"", b"") as fds:
            (ended,), reason = self._run(warden.RUN_SCRIPT, fds, limits)
            return self._outcome(ended, reason, fds[1], fds[2])

    def run_call(self, arguments: bytes, limits: Limits) -> Outcome:
        """Calls the solution's entry point with `arguments`, JSON, in a child of its own."""
        with _files(b"", b"", b"", arguments) as fds:
            (ended,), reason = self._run(warden.RUN_CALL, fds, limits)
            return self._outcome(ended, reason, fds[1], fds[2], fds[3])

    def run_asserts(self, test: bytes, limits: Limits) -> Outcome:
        """Runs a test in a process of its own, against the solution in another."""
        with _files(b"", b"", b"", test, b"") as (stdin, out, err, code, report):
            solutions_end, testers_end = socket.socketpair()
            # Theirs alone, or neither would see the other hang up.
            with solutions_end, testers_end:
                fds = [stdin, out, err, solutions_end.fileno(), testers_end.fileno(), code, report]
                self._send(warden.RUN_ASSERTS, fds)
            (ended, tester), reason = self._ended(limits)
            outcome = self._outcome(ended, reason, out, err)
            return replace(
                outcome,
                cpu_s=outcome.cpu_s + tester[1],
                wall_s=max(outcome.wall_s, tester[2]),
                tester_status=tester[0],
                report=os.pread(report, _REPORT_BYTES, 0),
            )

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
        started, before = time.monotonic(), processes.cpu_s(turns.pid)
        turns.begin(stdin, arguments)
        message, reason = self._await(limits, before, lambda: [turns.pid], turns.line)
        finished = message in (turns.DONE, turns.LAST)
        if finished:
            status, cpu_s, peak_kib = 0, processes.cpu_s(turns.pid) - before, 0
        else:
            ((status, total_cpu_s, _, peak_kib),) = _ended(message)
            cpu_s = max(0.0, total_cpu_s - before)
        wall_s = time.monotonic() - started
        outcome = self._outcome((status, cpu_s, wall_s, peak_kib), reason, turns.out, turns.err, turns.value)
        if message == turns.LAST:
            _ended(self._await(limits, before, lambda: [turns.pid])[0])
        if message != turns.DONE:
            self._end_turns()
        self._idle = True
        return outcome, finished

    def _start_turns(self, limits: Limits) -> Turns:
        turns = Turns()
        try:
            self._send(warden.RUN_MANY, turns.fds())
            turns.handed_over()
            hello, _ = self._await(limits, 0.0, lambda: processes.children(self._pid), turns.line)
            turns.meet(hello, next(iter(processes.children(self._pid)), 0))
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
        message, reason = self._await(limits, 0.0, lambda: processes.children(self._pid))
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

    def _await(
        self, limits: Limits, cpu_before_s: float, running: Callable[[], list[int]], line: socket.socket | None = None
    ) -> tuple[bytes, str]:
        """Waits for the warden's next message, or for one on `line`, and kills what exceeds its limits meanwhile.

        Args:
            cpu_before_s: CPU time of the running processes that doesn't count.
            running: their numbers.

        Returns:
            (the message, or b"" if the warden ended; "exit", or which limit was exceeded)
        """
        started = time.monotonic()
        reason, killing = "exit", False
        wait_s = min(limits.cpu_s / 2, limits.wall_s)
        if line is not None:
            self._poll.register(line, select.POLLIN)
        try:
            while True:
                ready = self._poll.poll(1000 * wait_s)
                for fd, _ in ready:
                    if line is not None and fd == line.fileno():
                        message = line.recv(warden.MAX_MESSAGE)
                        if message:
                            return message, reason
                        self._poll.unregister(line)
                        line = None
                        continue
                    if self._questions is not None and fd == self._questions.fileno():
                        self._questions.answer(self._pid)
                        continue
                    message = self._session.recv(warden.MAX_MESSAGE)
                    if message[:1] == warden.FAILED:
                        raise ZygoteDied(_failure(message))
                    if message != warden.ORPHANS:
                        return message, reason
                    killing, wait_s = True, 0.0
                if ready:
                    continue
                if not killing:
                    reason, wait_s = _over_limit(running(), limits, cpu_before_s, time.monotonic() - started)
                    killing = reason != "exit"
                    if not killing:
                        continue
                # Its orphans become the warden's children, so they come into view here in their turn.
                for pid in {*running(), *processes.children(self._pid)}:
                    processes.kill(pid)
                wait_s = _SHORTEST_WAIT_S
                if time.monotonic() - started > _LONGEST_STARVATION * limits.wall_s + _GRACE_S:
                    raise ZygoteDied("a program can't be killed")
        finally:
            if line is not None:
                self._poll.unregister(line)

    def close(self) -> None:
        """Ends everything that runs for this solution. Idempotent."""
        if self._turns is not None:
            processes.kill(self._turns.pid)
            self._end_turns()
        if self._warden >= 0:
            if not self._idle:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._warden, signal.SIGKILL)
            os.close(self._warden)
            self._warden = -1
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
    if not message or len(message) % warden.ENDED_FIELDS.size:
        raise ZygoteDied(_failure(message))
    return [fields[1:] for fields in warden.ENDED_FIELDS.iter_unpack(message)]


def _over_limit(pids: list[int], limits: Limits, cpu_before_s: float, elapsed_s: float) -> tuple[str, float]:
    """("cpu", "wall" or, for none, "exit"; how long to wait before the next look)"""
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


def _failure(message: bytes) -> str:
    return message[1:].decode("utf-8", "replace") if message else "the warden ended without a word"


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
