# SPDX-License-Identifier: Apache-2.0
"""The solution process: one per solution, where possible process 1 of a namespace of its own. It locks itself down,
compiles the solution, and forks one child per test.

It executes nothing of the solution. It holds no input and no output: those are files in memory whose descriptors pass
through it, and expected outputs never come here. It takes no decision either: the supervisor counts time, kills, and
judges what the kernel said. If the supervisor or the zygote goes away, so does all of this.

Messages, over a SOCK_SEQPACKET socket that only this process and the supervisor hold. From the supervisor:
    PROGRAM and the name of the entry point, once, with the source's descriptor;
    then for every test one byte, a RUN_…, with the child's descriptors in their order from 0 on.
From this process:
    READY once it is locked down, with the descriptor of its filter's notifications; then COMPILED, or REJECTED and why;
    then for every test the ENDED_FIELDS of the child, and of the tester where there is one;
    ORPHANS when processes are left that the supervisor must kill; FAILED and why when our own machinery failed.
"""

from __future__ import annotations

import gc
import os
import struct
import time
import types
from typing import NoReturn

from klear_verl.judge.sandbox.zygote import program, sequential_child, tester
from klear_verl.judge.sandbox.zygote.linux import Channel, fork
from klear_verl.judge.sandbox.zygote.lockdown import Lockdown

READY, COMPILED, REJECTED, ENDED, ORPHANS, FAILED = b"R", b"C", b"E", b"D", b"O", b"I"
RUN_SCRIPT, RUN_CALL, RUN_ASSERTS, RUN_SEQUENTIAL = b"s", b"c", b"a", b"m"
PROGRAM = struct.Struct("<QQQQQ")
"""Bytes of address space, bytes of a file, open files, whole CPU seconds of a process; the random seed. The name of the
entry point follows."""
ENDED_FIELDS = struct.Struct("<ciddI")
"""ENDED, wait status, CPU seconds, wall seconds, peak resident KiB."""
MAX_MESSAGE = 1 << 16

_SESSION = 20
_CHILD_CRASHED = 70


def main(session: Channel, lockdown: Lockdown) -> NoReturn:
    """Serves one solution and exits."""
    status = 1
    try:
        session = _settle(session)
        _serve(session, lockdown)
        status = 0
    except BrokenPipeError:
        pass  # the supervisor has gone, and reads no more messages
    except BaseException as error:
        # No code of the solution runs in this process, so whatever was raised is our failure.
        session.send(_failure(error))
    finally:
        os._exit(status)


def _failure(error: BaseException) -> bytes:
    return FAILED + f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:2000]


def _settle(session: Channel) -> Channel:
    """Moves the session out of the way of the children's descriptors, and puts /dev/null in the place of 0, 1 and 2."""
    os.dup2(session.detach(), _SESSION, inheritable=False)
    return Channel(_SESSION)


def _serve(session: Channel, lockdown: Lockdown) -> None:
    message, fds = session.receive(MAX_MESSAGE)
    *limits, cpu_s, seed = PROGRAM.unpack_from(message)
    entry_point = message[PROGRAM.size :].decode("utf-8") or None
    data = os.pread(fds[0], os.fstat(fds[0]).st_size, 0)
    notifications = lockdown.restrict(limits, cpu_s)
    session.send(READY, notifications)
    os.closerange(3, _SESSION)
    os.closerange(_SESSION + 1, 256)
    try:
        source = data.decode("utf-8", "surrogatepass")
        # As Python does with a file that begins with a byte order mark.
        code = compile(source.removeprefix("\ufeff"), "solution.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        session.send(REJECTED + f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace")[:2000])
        session.receive(1)  # stays until the supervisor, which still looks this process up, hangs up
        return
    program.seed(seed)
    child = SolutionChild(code, source, seed, entry_point, lockdown)
    session.send(COMPILED)
    while True:
        run, fds = session.receive(1)
        if not run:
            return
        _run(session, run, fds, child)


class SolutionChild:
    """What a child of the solution process does, by the kind of run."""

    def __init__(
        self,
        code: types.CodeType,
        source: str,
        seed: int,
        entry_point: str | None,
        lockdown: Lockdown,
    ):
        self._code = code
        self._reopens = "open(" in source
        self._names_proc = "/dev/" in source or "/proc/" in source
        self._seed = seed
        self._entry_point = entry_point or ""
        self._lockdown = lockdown
        self.may_fork = lockdown.children_may_fork
        # All that can be done before the fork is done here.
        self._main = program.fresh_module("__main__")
        self._solution = program.module_for_calls() if entry_point else program.fresh_module("solution")

    def main(self, session: Channel, run: bytes, fds: list[int], tests: bool) -> NoReturn:
        """Becomes the child (`tests`: the tester) and never returns. `fds` arrived as 3, 4, …: each moves down by 3."""
        status = _CHILD_CRASHED
        try:
            for target, fd in enumerate(fds):
                os.dup2(fd, target)
            self._lockdown.restrict_child(shows_itself=self._names_proc and not tests)
        except BaseException as error:
            session.send(_failure(error))
            os._exit(status)
        try:
            os.closerange(len(fds), _SESSION + 1)
            gc.enable()
            if run == RUN_SCRIPT:
                status = program.run_script(self._code, self._main, self._reopens)
            elif run == RUN_CALL:
                status = program.run_call(self._code, self._solution, self._entry_point)
            elif run == RUN_SEQUENTIAL:
                status = sequential_child.serve(self._code, self._seed, self._reopens, self._entry_point)
            elif tests:
                status = tester.main(self._entry_point)
            else:
                status = program.run_remote(self._code, self._solution)
        finally:
            os._exit(status)


def _run(session: Channel, run: bytes, fds: list[int], child: SolutionChild) -> None:
    if run == RUN_ASSERTS:
        _run_beside_tester(session, fds, child)
        return
    started = time.monotonic()
    pid = fork()
    if pid == 0:
        child.main(session, run, fds, tests=False)
    # Straight to sleep: what this process writes to while the child lives is copied too.
    ended = _wait(session, pid, started, child.may_fork)
    session.send(ended)
    os.closerange(3, 3 + len(fds))


def _run_beside_tester(session: Channel, fds: list[int], child: SolutionChild) -> None:
    started = time.monotonic()
    # The last three are the tester's: its end of the connection to the child, the test, and its report.
    solution = fork()
    if solution == 0:
        child.main(session, RUN_ASSERTS, fds[:-3], tests=False)
    tester_pid = fork()
    if tester_pid == 0:
        child.main(session, RUN_ASSERTS, [*fds[:3], *fds[-3:]], tests=True)
    os.closerange(3, 3 + len(fds))
    # The child ends after the tester, when its connection is closed.
    tested = _wait(session, tester_pid, started, may_fork=False)
    session.send(_wait(session, solution, started, child.may_fork) + tested)


def _wait(session: Channel, pid: int, started: float, may_fork: bool) -> bytes:
    """Waits for the end of child `pid`, and of its descendants."""
    _, status, usage = os.wait4(pid, 0)
    cpu_s = usage.ru_utime + usage.ru_stime
    if may_fork:
        cpu_s += _reap_the_rest(session)
    return ENDED_FIELDS.pack(ENDED, status, cpu_s, time.monotonic() - started, usage.ru_maxrss)


def _reap_the_rest(session: Channel) -> float:
    """Waits until no descendant is left; returns their CPU seconds. As orphans they are all ours."""
    cpu_s, asked = 0.0, False
    while True:
        try:
            pid, _, usage = os.wait4(-1, 0 if asked else os.WNOHANG)
        except ChildProcessError:
            return cpu_s
        cpu_s += usage.ru_utime + usage.ru_stime
        if pid == 0:
            # Not kill(-1) from here: without a namespace of our own that would kill every process of this user.
            session.send(ORPHANS)
            asked = True
