# SPDX-License-Identifier: Apache-2.0
"""Outliving the test: each descendant gives itself a name that is looked for afterwards (see `outside.py`)."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import ANY, FAILS, LIBC, SLOW, asserts, script

_NAMED = LIBC + "import sys, time\ndef stay():\n    libc.prctl(15, b'@NAME@')\n    time.sleep(600)\n    os._exit(0)\n"

ATTACKS = (
    script("survive_by_fork", "a child that is not waited for", _NAMED + "if os.fork() == 0: stay()\nprint(42)"),
    script(
        "survive_by_double_fork",
        "a daemon of the old school",
        _NAMED
        + "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: stay()\n    os._exit(0)\nos.wait()\nprint(42)",
    ),
    script(
        "survive_by_clone_parent",
        "clone with CLONE_PARENT: a sibling, not a child",
        _NAMED
        + "pid = libc.syscall(56, 0x8000 | 17, 0, 0, 0, 0)\nif pid == 0: stay()\nprint(42 if pid > 0 else 'refused')",
        machine="x86_64",
    ),
    script(
        "survive_by_clone_without_signal",
        "clone with no exit signal, which wait does not see",
        _NAMED + "pid = libc.syscall(56, 0, 0, 0, 0, 0)\nif pid == 0: stay()\nprint(42 if pid > 0 else 'refused')",
        machine="x86_64",
    ),
    script(
        "survive_by_vfork",
        "vfork, while the parent is held",
        _NAMED + "pid = libc.syscall(58)\nif pid == 0: stay()\nprint(42 if pid > 0 else 'refused')",
        machine="x86_64",
    ),
    script(
        "survive_by_spawn",
        "posix_spawn of a sleeping program",
        "import os\nos.posix_spawn('/bin/sleep', ['klearattack', '600'], {}, setsid=True)\nprint(42)",
    ),
    script(
        "survive_by_subprocess",
        "a detached subprocess",
        """
import subprocess, sys
subprocess.Popen([sys.executable or '/usr/bin/python3', '-c', 'import time; time.sleep(600)'],
    start_new_session=True)
print(42)
""",
    ),
    script(
        "survive_by_multiprocessing",
        "a daemon of multiprocessing",
        """
import multiprocessing, time
if __name__ == '__main__':
    multiprocessing.get_context('fork').Process(target=time.sleep, args=(600,), daemon=True).start()
    print(42)
""",
    ),
    script(
        "survive_holding_the_pipe",
        "a child that keeps standard output open, so that its end never comes",
        _NAMED
        + """
import signal
signal.signal(15, signal.SIG_IGN)
if os.fork() == 0: stay()
os.write(1, b'42')
os._exit(0)
""",
    ),
    script(
        "survive_stopped",
        "a stopped child gets no signals but one",
        _NAMED
        + """
import signal
if os.fork() == 0:
    libc.prctl(15, b'@NAME@')
    os.kill(os.getpid(), signal.SIGSTOP)
print(42)
""",
    ),
    script(
        "survive_as_thread",
        "a daemon thread that never ends",
        _NAMED + "import threading\nthreading.Thread(target=stay, daemon=True).start()\nprint('done')",
    ),
    script(
        "survive_as_waited_thread",
        "a thread that the interpreter waits for",
        _NAMED + "import threading\nthreading.Thread(target=stay).start()\nprint('done')",
        allowed=SLOW,
    ),
    script(
        "survive_as_leaderless_threads",
        "the main thread ends, native threads go on",
        _NAMED
        + """
thread = ctypes.c_ulong()
libc.pthread_create(ctypes.byref(thread), None, libc.pause, None)
libc.prctl(15, b'@NAME@')
os.write(1, b'done')
libc.syscall(60, 0)
""",
        allowed=ANY,
        machine="x86_64",
    ),
    script(
        "survive_parents_death_signal",
        "takes back the wish to die with the parent",
        _NAMED + "libc.prctl(1, 0)\nlibc.prctl(36, 1)\nif os.fork() == 0: stay()\nprint(42)",
    ),
    asserts(
        "survive_assert",
        "a process that outlives the test of an assert",
        _NAMED
        + """
def f(x):
    try:
        if os.fork() == 0: stay()
        return 4
    except OSError:
        return 0
""",
        "assert f(2) == 4",
        allowed=FAILS,
    ),
)
