# SPDX-License-Identifier: Apache-2.0
"""Running longer than allowed: signals, clocks, limits and threads that would hide the time."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import ANY, FAILS, LIBC, SLOW, asserts, function, script

_SPIN = "while True: pass"

ATTACKS = (
    script("time_spin", "an endless loop", _SPIN, allowed=SLOW),
    script("time_sleep", "sleeps, using no time", "import time\ntime.sleep(1000)", allowed=SLOW),
    script("time_native_sleep", "sleeps in native code", LIBC + "while True: libc.sleep(1000)", allowed=SLOW),
    script(
        "time_native_spin",
        "native code that never returns to the interpreter",
        LIBC + "libc.qsort(b'x' * 8, ctypes.c_size_t(1 << 40), 0, ctypes.CFUNCTYPE(int)(lambda: 0))",
        allowed=SLOW | FAILS,
    ),
    script(
        "time_wait_for_input", "waits on a pipe of its own", "import os\nr, w = os.pipe()\nos.read(r, 1)", allowed=SLOW
    ),
    script(
        "time_wait_for_lock",
        "waits for itself",
        "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
        allowed=SLOW,
    ),
    script(
        "time_ignored_signals",
        "ignores whatever can be ignored",
        """
import signal
for n in range(1, 65):
    try: signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError): pass
"""
        + _SPIN,
        allowed=SLOW,
    ),
    script(
        "time_blocked_signals",
        "blocks whatever can be blocked",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n" + _SPIN,
        allowed=SLOW,
    ),
    script(
        "time_swallowed_exceptions",
        "swallows every exception",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        allowed=SLOW,
    ),
    script(
        "time_handled_limit",
        "handles SIGXCPU and goes on",
        "import signal\nsignal.signal(signal.SIGXCPU, lambda *a: None)\n" + _SPIN,
        allowed=SLOW,
    ),
    script(
        "time_patched_clocks",
        "clocks that stand still",
        """
import time
for n in ('time', 'monotonic', 'perf_counter', 'process_time', 'clock_gettime'): setattr(time, n, lambda *a: 0)
"""
        + _SPIN,
        allowed=SLOW,
    ),
    script(
        "time_timer_games",
        "timers of its own, at a thousand signals a second",
        """
import signal
for n in (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF): signal.signal(n, lambda *a: None)
for n in (0, 1, 2): signal.setitimer(n, 0.001, 0.001)
"""
        + _SPIN,
        allowed=SLOW,
    ),
    script(
        "time_in_threads",
        "eight threads spin",
        """
import threading
def spin():
    while True: pass
for _ in range(8): threading.Thread(target=spin, daemon=True).start()
spin()
""",
        allowed=SLOW,
    ),
    script(
        "time_in_daemon_threads",
        "the main thread sleeps meanwhile",
        """
import threading, time
def spin():
    while True: pass
threading.Thread(target=spin, daemon=True).start()
time.sleep(100)
""",
        allowed=SLOW,
    ),
    script(
        "time_after_the_end",
        "spins in an exit handler",
        "import atexit\n@atexit.register\ndef spin():\n    while True: pass\nprint('x')",
        allowed=SLOW,
    ),
    script(
        "time_in_finalizer",
        "spins in a finalizer",
        "class E:\n    def __del__(self):\n        while True: pass\nE()",
        allowed=SLOW,
    ),
    script(
        "time_in_flush",
        "spins when its output is flushed",
        """
import sys
class O:
    closed = False
    write = len
    def flush(self):
        while True: pass
sys.stdout = O()
""",
        allowed=SLOW,
    ),
    script(
        "time_more_by_setrlimit",
        "raises its own limit of CPU time",
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6))\nprint(42)",
    ),
    script(
        "time_idle_class",
        "scheduled last, so that waiting looks like starvation",
        """
import os, time
try: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
except OSError: pass
try: os.nice(19)
except OSError: pass
time.sleep(100)
""",
        allowed=SLOW,
    ),
    script(
        "time_starving_threads",
        "many threads wait for each other's core, which looks like starvation",
        """
import threading, time
def nap():
    while True: time.sleep(0.0005)
for _ in range(12): threading.Thread(target=nap, daemon=True).start()
time.sleep(100)
""",
        allowed=SLOW,
    ),
    script("time_at_compile", "more lines than can be compiled in time", "x = 1\n" * 150_000, allowed=ANY),
    script("time_of_a_huge_power", "arithmetic that can't be interrupted", "x = 3 ** (10 ** 9)", allowed=ANY),
    function("time_in_call", "an endless loop in a call", "def f():\n    while True: pass", allowed=SLOW),
    function(
        "time_in_result",
        "a result whose conversion never ends",
        "class E(list):\n    def __iter__(self):\n        while True: pass\ndef f(): return E([1])",
        allowed=ANY,
    ),
    asserts(
        "time_in_assert",
        "sleeps where the test waits",
        "import time\ndef f(x): time.sleep(1000)",
        "assert f(2) == 4",
        allowed=SLOW,
    ),
    asserts(
        "time_swallowed_in_assert",
        "swallows what would end the call",
        "def f(x):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
        "assert f(2) == 4",
        allowed=SLOW,
    ),
)
