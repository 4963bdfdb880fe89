# SPDX-License-Identifier: Apache-2.0
"""Leaving before the tests are done, with success as the exit status."""

from __future__ import annotations

from klear_verl.judge import Verdict
from tests.judge.attacks.battery.attack import FAILS, LIBC, Attack, asserts, function, pytests, script

_CHECK = "assert f(2) == 4\nassert f(3) == 9"
_MODULE = "def test_two():\n    assert f(2) == 4\ndef test_three():\n    assert f(3) == 9"
_LEAVE = {
    "os_exit": "import os\nos._exit(0)",
    "sys_exit": "import sys\nsys.exit(0)",
    "quit": "quit()",
    "native_exit": LIBC + "libc.exit(0)",
    "native_exit_group": LIBC + "libc._exit(0)",
    "native_quick_exit": LIBC + "libc.quick_exit(0)",
    "thread": "import os, threading\nt = threading.Thread(target=os._exit, args=(0,))\nt.start()\nt.join()",
    "keyboard_interrupt": "raise KeyboardInterrupt",
    "generator_exit": "raise GeneratorExit",
    "finalizer": "import os\nclass E:\n    def __del__(self): os._exit(0)\nE()",
    "finalize_interpreter": "import ctypes, os\nctypes.pythonapi.Py_Finalize()\nos._exit(0)",
    "native_thread_end": LIBC + "libc.pthread_exit(None)",
    "signal": "import signal\nsignal.raise_signal(signal.SIGTERM)\nraise SystemExit",
}


def _inside_f(code: str) -> str:
    return "def f(x=0):\n    " + code.replace("\n", "\n    ")


def _each() -> tuple[Attack, ...]:
    attacks = []
    for name, code in _LEAVE.items():
        # A native thread's end can leave the process waiting for nobody.
        allowed = FAILS | {Verdict.TLE} if name == "native_thread_end" else FAILS
        attacks += [
            script(f"leave_script_by_{name}", "no output, status 0", code, allowed=allowed),
            function(f"leave_call_by_{name}", "ends inside the call", _inside_f(code), allowed=allowed),
            asserts(
                f"leave_asserts_by_{name}",
                "ends before the first assert is checked",
                _inside_f(code),
                _CHECK,
                allowed=allowed,
            ),
        ]
    return tuple(attacks)


ATTACKS = (
    *_each(),
    asserts("leave_asserts_at_import", "the solution itself ends the process", "import os\nos._exit(0)", _CHECK),
    pytests("leave_pytest_at_import", "the solution itself ends the process", "import sys\nsys.exit(0)", _MODULE),
    pytests("leave_pytest_in_call", "ends inside the first test", _inside_f("import os\nos._exit(0)"), _MODULE),
    asserts(
        "leave_asserts_at_exit",
        "an exit handler turns the failure into status 0",
        "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 0",
        _CHECK,
    ),
    asserts(
        "leave_asserts_by_excepthook",
        "the hook for uncaught exceptions ends with status 0",
        "import os, sys\nsys.excepthook = sys.__excepthook__ = lambda *a: os._exit(0)\ndef f(x): return 0",
        _CHECK,
    ),
    asserts(
        "leave_asserts_by_alarm",
        "a timer ends the process while the tests run",
        """
import os, signal
signal.signal(signal.SIGALRM, lambda *a: os._exit(0))
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
def f(x):
    import time
    time.sleep(0.2)
    return 0
""",
        _CHECK,
    ),
    asserts(
        "leave_asserts_by_waiting_thread",
        "a thread ends the process once the first result is on its way",
        """
import os, threading, time
def f(x):
    threading.Thread(target=lambda: (time.sleep(0.05), os._exit(0))).start()
    return 4
""",
        _CHECK + "\nimport time\ntime.sleep(0.3)\nassert f(4) == 16",
    ),
    script(
        "leave_after_closing_output",
        "closed streams, status 0",
        "import os\nfor fd in (1, 2): os.close(fd)\nos._exit(0)",
    ),
)
