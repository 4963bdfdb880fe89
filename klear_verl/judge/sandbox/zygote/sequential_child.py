# SPDX-License-Identifier: Apache-2.0
"""Granularity "solution": one child runs the solution's tests one after the other, each with fresh globals, streams and
random state, and is replaced after any abnormal end.

Everything outside is protected as ever. What is weaker is only between the tests of one solution: it can leave itself
messages in this process, and it can claim that a test has ended, in which case its output up to there is judged.

Messages, over the SOCK_SEQPACKET socket that is descriptor LINE: the supervisor sends GO_SCRIPT or GO_CALL for the next
test, whose input it has put into descriptor 0 (and whose arguments into VALUE); the child, which began with HELLO,
answers DONE, or LAST if it must be replaced. Any other end is an exit.
"""

from __future__ import annotations

import _signal
import builtins
import gc
import itertools
import os
import sys
import threading
import types

from klear_verl.judge.sandbox.zygote import program

LINE = 4
GO_SCRIPT, GO_CALL = b"s", b"c"
HELLO, DONE, LAST = b"h", b"d", b"x"
_COLLECT_EVERY = 16


def serve(code: types.CodeType, seed_number: int, reopens: bool, entry_point: str) -> int:
    """Runs tests until the supervisor hangs up, or one ends abnormally; returns that one's exit status."""
    recursion_limit = sys.getrecursionlimit()
    originals = dict(vars(builtins))
    streams = _identities()
    # Bound here, because the program may replace any of them in its module.
    read, write, seed, reopen = os.read, os.write, program.seed, program.open_standard_streams
    run_script, run_call, intact = program.run_script, program.run_call, _intact
    fresh_module, module_for_calls = program.fresh_module, program.module_for_calls
    set_limit, collect = sys.setrecursionlimit, gc.collect
    write(LINE, HELLO)
    for number in itertools.count(1):
        kind = read(LINE, 1)
        if not kind:
            return 0
        reopen()
        seed(seed_number)
        if kind == GO_CALL:
            status = run_call(code, module_for_calls(), entry_point)
        else:
            status = run_script(code, fresh_module("__main__"), reopens)
        if status != 0:
            return status
        if not intact(streams):
            write(LINE, LAST)
            return 0
        if vars(builtins) != originals:
            vars(builtins).clear()
            vars(builtins).update(originals)
        set_limit(recursion_limit)
        if number % _COLLECT_EVERY == 0:
            collect()
        write(LINE, DONE)
    return 0


def _identities() -> list[int]:
    return [os.fstat(fd).st_ino for fd in (0, 1, 2)]


def _intact(streams: list[int]) -> bool:
    """Whether the next test would find what it must: its streams, at their beginning, and no thread but this one."""
    for timer in (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF):
        # One that is still running would go off in the next test.
        _signal.setitimer(timer, 0)
    if threading.active_count() > 1 or not threading.main_thread().is_alive():
        return False
    try:
        if _identities() != streams:
            return False
        for fd in (0, 1, 2):
            os.lseek(fd, 0, os.SEEK_SET)
    except OSError:
        return False
    return True
