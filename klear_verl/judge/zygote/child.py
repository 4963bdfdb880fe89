# SPDX-License-Identifier: Apache-2.0
"""The forked child, from the fork to the first untrusted instruction: descriptors, limits, lockdown, compilation.

Only after all limits hold is the solution read and compiled, because compiling hostile text can itself explode.

The report pipe's first byte is written before any untrusted code runs, so it can't be forged: C (compiled), E (does
not compile, reason follows) or I (we failed, reason follows). What follows C is written beside untrusted code and is
never more than a value; see `program.py`.
"""

from __future__ import annotations

import _sitebuiltins
import builtins
import json
import math
import os
import random
import resource
import signal
import sys
from typing import Any, NoReturn

from klear_verl.judge.zygote import linux, program

DESCRIPTORS = 3
"""Descriptors beyond 0, 1, 2 of a child: REPORT, PAYLOAD and TEST."""
REPORT, PAYLOAD, TEST = 3, 4, 5

_STACK_BYTES = 64 << 20


def prepare() -> None:
    """Things done once, in the zygote, for all children."""
    # What `site` would have added, and programs use.
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    program.prepare()
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = _STACK_BYTES if hard == resource.RLIM_INFINITY else min(_STACK_BYTES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))


def main(
    request: dict[str, Any],
    fds: list[int],
    rules: linux.LandlockRules | None,
    seccomp: linux.SeccompFilter | None,
) -> NoReturn:
    """Runs one test and exits. `fds` are, in order, what becomes descriptors 0, 1, 2, REPORT, PAYLOAD and TEST."""
    status = 70
    try:
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        zygote = os.getppid()
        linux.die_with_parent(signal.SIGKILL)
        if os.getppid() != zygote:
            os._exit(status)  # it died before the line above
        os.setsid()
        _limit(request["limits"])
        if rules:
            rules.restrict()
        os.closerange(3 + DESCRIPTORS, 256)
        # Without this, /dev/stdin can't be opened by its own process when not root.
        linux.set_dumpable(True)
        if seccomp:
            seccomp.install()
        random.seed(request["seed"])
        _open_standard_streams()
        status = _compile_and_run(request["mode"])
    except BaseException as error:
        # Only our own preparation can raise here: `program.run` handles what the solution raises.
        os.write(REPORT, f"I{type(error).__name__}: {error}".encode("utf-8", "replace"))
    finally:
        os._exit(status)


def _limit(limits: dict[str, float]) -> None:
    def both(what: int, value: int, above: int = 0) -> None:
        _, hard = resource.getrlimit(what)
        top = value + above if hard == resource.RLIM_INFINITY else min(value + above, hard)
        resource.setrlimit(what, (min(value, top), top))

    # The zygote enforces CPU time to the millisecond; these whole seconds are the net below it.
    both(resource.RLIMIT_CPU, math.ceil(limits["cpu_s"]) + 1, above=1)
    both(resource.RLIMIT_AS, int(limits["memory_mib"]) << 20)
    both(resource.RLIMIT_FSIZE, 0)
    both(resource.RLIMIT_NOFILE, int(limits["open_files"]))
    both(resource.RLIMIT_CORE, 0)
    both(resource.RLIMIT_MEMLOCK, 0)
    both(resource.RLIMIT_MSGQUEUE, 0)
    # Not RLIMIT_NPROC: it counts all threads of the user, so a trainer's threads would cost honest programs theirs.
    # seccomp stops forks, and the address space bounds threads.


def _open_standard_streams() -> None:
    """Python's own set-up, in UTF-8: the zygote's stream objects are bound to the zygote's standard streams."""
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        stream.buffer.raw.name = f"<{name}>"
        setattr(sys, f"__{name}__", stream)


def _compile_and_run(mode: str) -> int:
    with open(PAYLOAD, "rb") as file:
        payload = json.loads(file.read())
    # As Python does with a file that begins with a byte order mark.
    source = payload["source"].removeprefix("\ufeff")
    try:
        code = compile(source, "solution.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        os.write(REPORT, f"E{type(error).__name__}: {error}".encode("utf-8", "backslashreplace"))
        return 1
    os.write(REPORT, b"C")
    if mode in ("stdio", "call"):
        os.close(TEST)
    if mode == "stdio":
        os.close(REPORT)
    sys.argv = ["solution.py"]
    for name in [name for name in sys.modules if name.startswith("klear_verl")]:
        del sys.modules[name]
    return program.run(mode, code, payload)
