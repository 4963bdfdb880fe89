# SPDX-License-Identifier: Apache-2.0
"""Looking like a failure of the judge: an ungraded wrong answer costs a policy nothing, so no program may earn IE."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import ANY, LIBC, asserts, function, script

# A system-call filter of its own: on(n, x) answers call n with x. 0x5…: with an error; 0x80000000: with death.
_FILTER = (
    LIBC
    + """
import struct
ALLOW, number = 0x7fff0000, struct.pack("HBBI", 0x20, 0, 0, 0)
def give(answer):
    return struct.pack("HBBI", 6, 0, 0, answer)
def on(call, answer):
    return struct.pack("HBBI", 0x15, 0, 1, call) + give(answer)
def install(*parts, flags=0):
    code = ctypes.create_string_buffer(b"".join(parts), len(b"".join(parts)))
    program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(code))
    if flags or libc.prctl(22, 2, program):
        libc.syscall(317, 1, flags, program)
"""
)
# The kernel signals the owner of a socket that becomes readable: kill(2) by another name.
_OWN = """
import array, fcntl, os, socket, struct, time
def own(pid):
    for claim in (
        lambda fd: fcntl.fcntl(fd, fcntl.F_SETOWN, pid),
        lambda fd: fcntl.fcntl(fd, 15, struct.pack("ii", 1, pid)),
        lambda fd: fcntl.ioctl(fd, 0x8901, struct.pack("i", pid)),
        lambda fd: fcntl.ioctl(fd, 0x8902, struct.pack("i", pid)),
    ):
        try:
            reader, writer = socket.socketpair()
            claim(reader.fileno())
            fcntl.fcntl(reader, fcntl.F_SETSIG, 9)
            fcntl.fcntl(reader, fcntl.F_SETFL, fcntl.fcntl(reader, fcntl.F_GETFL) | fcntl.FASYNC)
            writer.send(b"x")
            reader.close()
            writer.close()
        except OSError:
            pass
    time.sleep(0.05)
"""

_ENDINGS = {
    "closes_everything": "import os\nos.closerange(0, 256)",
    "closes_everything_and_leaves": "import os\nos.closerange(0, 256)\nos._exit(0)",
    "everything_to_null": """
import os
null = os.open('/dev/null', os.O_RDWR)
for fd in range(64): os.dup2(null, fd) if fd != null else 0
""",
    "status_of_the_runner": "import os\nos._exit(70)",
    "every_status": "import os\nos._exit(255)",
    "killed_by_timer": LIBC
    + """
event = (ctypes.c_int * 16)(0, 0, 9, 0)
timer = ctypes.c_void_p()
libc.timer_create(1, event, ctypes.byref(timer))
libc.timer_settime(timer, 0, (ctypes.c_long * 4)(0, 0, 0, 1000), None)
while True: pass
""",
    "killed_by_strict_mode": LIBC + "libc.prctl(22, 1)",
    "killed_by_filter": _FILTER + "install(give(0x80000000))",
    "silenced_by_filter": _FILTER + "install(number, on(1, 0x50005), give(ALLOW))",
    "no_exit_by_filter": _FILTER + "install(number, on(231, 0x50001), on(60, 0x50001), give(ALLOW))",
    "answers_by_user_notification": _FILTER + "install(number, on(231, 0x7fc00000), give(ALLOW), flags=8)",
    "kills_parent_by_socket_signal": _OWN + "own(os.getppid())",
    # The tester's number is the next one.
    "kills_tester_by_socket_signal": _OWN + "own(os.getpid() + 1)\nos._exit(0)",
    "segmentation_fault": "import ctypes\nctypes.string_at(0)",
    "trap": "import ctypes, signal\nsignal.raise_signal(signal.SIGTRAP)",
    "modules_gone": "import sys\nsys.modules.clear()",
    "builtins_gone": "import builtins\nvars(builtins).clear()",
    "os_functions_gone": """
import os
for name in list(vars(os)):
    if callable(vars(os)[name]) and name[0] != '_' or name == '_exit': setattr(os, name, None)
""",
    "streams_gone": "import sys\ndel sys.stdin, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__",
    "stream_raises": """
import sys
class O:
    def __getattribute__(s, n): raise SystemExit(70)
sys.stdout = sys.stderr = O()
""",
    "exit_handler_raises": "import atexit\n@atexit.register\ndef last(): raise SystemExit(70)",
    "shutdown_replaced": "import threading\nthreading._shutdown = lambda: 1 / 0",
    "excepthook_raises": """
import sys
def hook(*a): raise SystemExit(70)
sys.excepthook = sys.__excepthook__ = hook
1 / 0
""",
    "collector_raises": "import gc\ngc.callbacks.append(lambda *a: 1 / 0)\ngc.enable()\ngc.set_threshold(1, 1, 1)",
    "trace_raises": """
import sys
def trace(*a): raise SystemExit(70)
frame = sys._getframe()
while frame:
    frame.f_trace = trace
    frame = frame.f_back
sys.settrace(trace)
sys.setprofile(trace)
""",
    "signals_in_the_runner": """
import signal
def boom(*a): raise SystemExit(70)
signal.signal(signal.SIGALRM, boom)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for _ in range(10**6): pass
""",
    "asynchronous_exception": """
import ctypes, threading
ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threading.main_thread().ident), ctypes.py_object(SystemExit))
""",
    "raised_base_exception": """
class Odd(BaseException):
    def __str__(s): raise Odd
    __repr__ = __str__
raise Odd
""",
    "raised_memory_error": "raise MemoryError",
    "raised_recursion_error": "raise RecursionError",
    "raised_os_error": "raise OSError(9, 'Bad file descriptor')",
    "raised_broken_pipe": "raise BrokenPipeError(32, 'Broken pipe')",
    "exit_with_odd_code": "class E:\n    def __str__(s): raise SystemExit(70)\nraise SystemExit(E())",
    "exit_with_huge_code": "raise SystemExit(10**400)",
    "memory_taken_then_back": """
x = []
try:
    while True: x.append(bytearray(1 << 20))
except MemoryError: pass
keep = x
""",
    "interpreter_ended": "import ctypes\nctypes.pythonapi.Py_Finalize()",
    "interpreter_lock_kept": """
import ctypes
ctypes.pythonapi.PyGILState_Ensure()
ctypes.pythonapi.PyEval_SaveThread()
""",
    "native_memory_overwritten": "import ctypes\nctypes.memset(id(None) - 4096, 0, 8192)",
    "types_broken": "import ctypes\nctypes.memset(id(dict) + 16, 0, 64)",
    "stopped_at_once": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nsignal.raise_signal(signal.SIGSTOP)",
    "parent_death_signal": LIBC + "libc.prctl(1, 9)\nlibc.prctl(4, 0)",
    "name_of_another": LIBC + "libc.prctl(15, b') R 1 1 1')",
    "main_thread_ends": LIBC + "libc.pthread_exit(None)",
    "time_stamp_counter_off": LIBC + "libc.prctl(26, 2, 0, 0, 0)\nimport time\ntime.monotonic()",
}

ATTACKS = tuple(
    script(f"dodge_script_{name}", "a wrong answer that looks like our failure", code, allowed=ANY)
    for name, code in _ENDINGS.items()
) + tuple(
    attack
    for name, code in _ENDINGS.items()
    for body in ["def f(x=0):\n    " + code.replace("\n", "\n    ") + "\n    return 41"]
    for attack in (
        function(f"dodge_call_{name}", "the same in a call", body, allowed=ANY),
        asserts(
            f"dodge_assert_{name}", "the same under an assert", body, "assert f(2) == 4\nassert f(3) == 9", allowed=ANY
        ),
    )
)
