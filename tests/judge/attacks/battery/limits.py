# SPDX-License-Identifier: Apache-2.0
"""Raising its own limits, or lowering them until the judge's code in the same process fails."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import ANY, LIBC, function, script

_RAISE = """
import resource
def more(name):
    limit = getattr(resource, name)
    soft, hard = resource.getrlimit(limit)
    if hard == resource.RLIM_INFINITY:
        print(42)
        return
    try:
        resource.setrlimit(limit, (hard + 1, hard + 1))
        print(42)
    except (ValueError, OSError):
        print("refused")
"""

ATTACKS = (
    *(
        script(f"limit_more_{name}", "raises a limit, or finds none", _RAISE + f"more('RLIMIT_{name}')")
        for name in ("CPU", "AS", "FSIZE", "NOFILE", "CORE", "MEMLOCK", "MSGQUEUE")
    ),
    script(
        "limit_more_by_number",
        "prlimit64 by its number",
        LIBC + "print(42 if libc.syscall(302, 0, 9, (ctypes.c_ulong * 2)(1 << 50, 1 << 50), None) == 0 else 'refused')",
        machine="x86_64",
    ),
    script(
        "limit_more_by_own_pid",
        "prlimit of itself, by its pid",
        "import os, resource\nresource.prlimit(os.getpid(), resource.RLIMIT_AS, (-1, -1))\nprint(42)",
    ),
    script("limit_niceness", "a higher priority", "import os\nos.nice(-5)\nprint(42)"),
    script(
        "limit_real_time",
        "real-time scheduling",
        "import os\nos.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))\nprint(42)",
    ),
    script(
        "limit_deadline",
        "deadline scheduling",
        LIBC
        + """
import struct
print(42 if libc.syscall(314, 0, struct.pack('IIQiIQQQ', 48, 6, 0, 0, 0, 10**7, 10**8, 10**8), 0) == 0 else 'refused')
""",
        machine="x86_64",
    ),
    *(
        function(
            f"limit_nothing_left_{name}",
            "no more of it for the judge's code in this process: no answer, but no failure of the judge either",
            f"import resource\ndef f():\n    resource.setrlimit(resource.RLIMIT_{name}, (0, 0))\n    return 41",
            allowed=ANY,
        )
        for name in ("AS", "DATA", "STACK", "NOFILE", "FSIZE", "CPU", "NPROC")
    ),
)
