# SPDX-License-Identifier: Apache-2.0
"""One solution under judgement: the supervisor's side of its solution process.

Inputs go in one test at a time, in files in memory, and outputs come back in others. Limits are kept by `monitor.py`;
what came out is judged elsewhere (`grading.py`).
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace

from klear_verl.judge.sandbox import kernel
from klear_verl.judge.sandbox.kernel import memory_file, read_all, read_tail
from klear_verl.judge.sandbox.monitor import Ending, ForkRequests, Monitor, RunLimits, failure
from klear_verl.judge.sandbox.sequential_host import SequentialHost
from klear_verl.judge.sandbox.supervisor import SandboxFailure, Zygote
from klear_verl.judge.sandbox.zygote import solution_process

_VALUE_BYTES = 64 << 20
_REPORT_BYTES = 4096
_ANCILLARY = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4)


class Rejected(Exception):
    """The solution does not compile; the message says why."""


class DiedCompiling(SandboxFailure):
    """The solution process ended while it compiled: the program crashes the compiler, if it happens again."""


@dataclass(frozen=True)
class RunInput:
    """What goes into one run: standard input of a script; or the `arguments` of a call, as JSON; or the code of a
    `test` with asserts, whose first byte is its kind (`zygote/tester.py`).
    """

    stdin: bytes = b""
    arguments: bytes | None = None
    test: bytes | None = None


@dataclass(frozen=True)
class Outcome:
    """What the kernel says about one run, and what the run left behind. `status` is a wait status. `value` is what a
    call left in its file; `report` and `tester_status` are those of the process that ran the asserts.
    """

    status: int
    ending: Ending
    cpu_s: float
    wall_s: float
    peak_mib: float
    stdout: bytes = b""
    stderr: bytes = b""
    value: bytes = b""
    report: bytes = b""
    tester_status: int = 0


class Session:
    """A compiled solution in a solution process of its own. Not thread-safe. Close it, or use it as a context manager.

    Args:
        limits: of every run, and of the compilation; `run` may be given less CPU time.
        budget_cpu_s: CPU time of all runs together.
        seed: of the random state that every run begins with.
        entry_point: the function that calls are for.
        sequential: scripts and calls run one after the other in one child, as long as that lives.

    Raises:
        Rejected: the source does not compile.
        SandboxFailure: our own failure; nothing was learnt about the solution.
        EnvironmentProblem: no zygote can be started.
    """

    def __init__(
        self,
        zygote: Zygote,
        source: bytes,
        limits: RunLimits,
        budget_cpu_s: float,
        *,
        seed: int = 0,
        entry_point: str | None = None,
        sequential: bool = False,
    ):
        self._limits = limits
        self._sequential = sequential
        self._host: SequentialHost | None = None
        with ExitStack() as resources:
            self._socket = resources.enter_context(zygote.start_solution_process())
            self._send_program(source, budget_cpu_s, seed, entry_point)
            self._monitor = self._await_lockdown(resources)
            resources.callback(self._end_sequential_child)
            self._await_compilation()
            self._resources = resources.pop_all()

    def _send_program(self, source: bytes, budget_cpu_s: float, seed: int, entry_point: str | None) -> None:
        numbers = (
            self._limits.memory_mib << 20,
            self._limits.stdout_bytes,
            self._limits.open_files,
            # Whole seconds, and more than the monitor allows.
            math.ceil(max(self._limits.cpu_s, budget_cpu_s)) + 2,
            seed,
        )
        # With the answer comes the sender's process number, which the kernel vouches for, as we see it.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with _files(source) as (file,):
            self._send(solution_process.PROGRAM.pack(*numbers) + (entry_point or "").encode(), [file])

    def _await_lockdown(self, resources: ExitStack) -> Monitor:
        ready, ancillary, _, _ = self._socket.recvmsg(solution_process.MAX_MESSAGE, _ANCILLARY)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        pid, fork_requests = 0, None
        for _, kind, data in ancillary:
            number = int.from_bytes(data[:4], "little")
            if kind == socket.SCM_RIGHTS:
                fork_requests = resources.enter_context(closing(ForkRequests(number)))
            else:
                pid = number
        if ready != solution_process.READY or not pid:
            raise SandboxFailure(failure(ready))
        try:
            monitor = Monitor(self._socket, pid, fork_requests)
        except ProcessLookupError as error:
            raise DiedCompiling("the solution process is gone") from error
        resources.callback(monitor.close)
        return monitor

    def _await_compilation(self) -> None:
        pid = self._monitor.pid
        event = self._monitor.wait(self._limits, kernel.cpu_s(pid), running=lambda: [pid])
        if event.ending != "exit":
            raise Rejected(f"compiling it takes more than the {event.ending} limit")
        if event.message[:1] == solution_process.REJECTED:
            raise Rejected(event.message[1:].decode("utf-8", "replace"))
        if not event.message:
            raise DiedCompiling("the solution process ended while it compiled the program")

    def run(self, given: RunInput, limits: RunLimits) -> Outcome:
        """Runs one test.

        Raises:
            SandboxFailure: our own failure; the session must be closed.
        """
        if given.test is not None:
            outcome = self._run_beside_tester(given.test, limits)
        elif self._sequential:
            outcome = self._run_sequentially(given, limits)
        else:
            outcome = self._run_in_new_child(given, limits)
        return outcome

    def _run_in_new_child(self, given: RunInput, limits: RunLimits) -> Outcome:
        """Runs a script, or a call, in a child of its own."""
        call = given.arguments is not None
        with _files(given.stdin, b"", b"", *([given.arguments] if given.arguments is not None else [])) as fds:
            self._send(solution_process.RUN_CALL if call else solution_process.RUN_SCRIPT, fds)
            event = self._monitor.wait(limits)
            (ended,) = _ended(event.message)
            return self._outcome(ended, event.ending, *fds[1:])

    def _run_beside_tester(self, test: bytes, limits: RunLimits) -> Outcome:
        """Runs a test in a process of its own, against the solution in another."""
        with _files(b"", b"", b"", test, b"") as (stdin, out, err, code, report):
            solutions_end, testers_end = socket.socketpair()
            # Theirs alone, or neither would see the other hang up.
            with solutions_end, testers_end:
                fds = [stdin, out, err, solutions_end.fileno(), testers_end.fileno(), code, report]
                self._send(solution_process.RUN_ASSERTS, fds)
            # The two together may take twice what the solution alone may: the test's time is not the solution's fault.
            event = self._monitor.wait(replace(limits, cpu_s=2 * limits.cpu_s))
            ended, tester = _ended(event.message)
            outcome = self._outcome(ended, event.ending, out, err)
            said = os.pread(report, _REPORT_BYTES, 0)
            return replace(outcome, wall_s=max(outcome.wall_s, tester[2]), tester_status=tester[0], report=said)

    def _run_sequentially(self, given: RunInput, limits: RunLimits) -> Outcome:
        """Runs a script, or a call, in the child that ran the test before, or in a new one if that ended in any way.

        A child that ends abnormally in any but its first test may have died of what an earlier test left in it, so that
        test runs again in a new child.
        """
        new = self._host is None
        outcome, finished = self._run_in_sequential_child(given, limits)
        if not finished and not new and outcome.ending == "exit":
            outcome, _ = self._run_in_sequential_child(given, limits)
        return outcome

    def _run_in_sequential_child(self, given: RunInput, limits: RunLimits) -> tuple[Outcome, bool]:
        """(the outcome, whether the test came to its end)"""
        host = self._host or self._start_sequential_child(limits)
        self._monitor.busy = True
        started, before_s = time.monotonic(), kernel.cpu_s(host.pid)
        host.begin(given.stdin, given.arguments)
        message, finished, ending = self._monitor.wait(limits, before_s, child=host.socket)
        if finished:
            # Whatever it said: the program can say the same, and what counts is what it has left.
            ended = 0, kernel.cpu_s(host.pid) - before_s, time.monotonic() - started, 0
        else:
            ((status, cpu_s, _, peak_kib),) = _ended(message)
            ended = status, max(0.0, cpu_s - before_s), time.monotonic() - started, peak_kib
        outcome = self._outcome(ended, ending, host.out, host.err, host.value)
        if message != host.DONE:
            if finished:
                self._monitor.kill_children()
                _ended(self._monitor.wait(limits).message)
            self._close_host()
        return outcome, finished

    def _start_sequential_child(self, limits: RunLimits) -> SequentialHost:
        self._host = SequentialHost()
        self._send(solution_process.RUN_SEQUENTIAL, self._host.fds())
        self._host.close_childs_end()
        hello = self._monitor.wait(limits, child=self._host.socket)
        self._host.started(hello.message, next(iter(self._monitor.children()), 0))
        return self._host

    def _end_sequential_child(self) -> None:
        if self._host is not None:
            self._monitor.kill_children()
            self._close_host()

    def _close_host(self) -> None:
        if self._host is not None:
            self._host.close()
            self._host = None

    def _send(self, message: bytes, fds: list[int]) -> None:
        try:
            socket.send_fds(self._socket, [message], fds)
        except OSError as error:
            raise SandboxFailure(f"the solution process is gone: {error}") from error

    def _outcome(self, ended: _Ended, ending: Ending, out: int, err: int, value: int = -1) -> Outcome:
        status, cpu_s, wall_s, peak_kib = ended
        return Outcome(
            status,
            ending,
            cpu_s,
            wall_s,
            peak_kib / 1024,
            stdout=read_all(out, self._limits.stdout_bytes),
            stderr=read_tail(err, self._limits.stderr_kib << 10),
            value=b"" if value < 0 else read_all(value, _VALUE_BYTES),
        )

    def close(self) -> None:
        """Ends everything that runs for this solution. Idempotent."""
        self._resources.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


_Ended = tuple[int, float, float, int]
"""Wait status, CPU seconds, wall seconds, peak resident KiB."""


def _ended(message: bytes) -> list[_Ended]:
    if not message or len(message) % solution_process.ENDED_FIELDS.size:
        raise SandboxFailure(failure(message))
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
