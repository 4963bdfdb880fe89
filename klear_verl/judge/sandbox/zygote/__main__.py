# SPDX-License-Identifier: Apache-2.0
"""The zygote: a lean Python with some modules preloaded, which forks one solution process per solution. Run by path, in
a fresh interpreter without site-packages.

It never sees a program, an input, an output or an expected output: it is handed one end of a socket, and the solution
process speaks with the supervisor over that. So it has nothing of one solution to pass on to the next, and can serve
several at once. Over its own SOCK_SEQPACKET socket come the set-up, once, and then one message per solution; it answers
the set-up with JSON: {"namespaces": bool, "refused": reason or ""}.
"""

from __future__ import annotations

import _signal
import gc
import importlib
import json
import os
import sys
import types
from typing import Any

# This package is made importable without executing the `__init__` of the packages above it, so that nothing heavier
# than the standard library can ever get into the process that is forked for every test.
_sandbox = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_judge = os.path.dirname(_sandbox)
for _name, _path in (
    ("klear_verl", os.path.dirname(_judge)),
    ("klear_verl.judge", _judge),
    ("klear_verl.judge.sandbox", _sandbox),
):
    _package = types.ModuleType(_name)
    _package.__path__ = [_path]
    sys.modules[_name] = _package

from klear_verl.judge.sandbox.zygote import linux, program, solution_process  # noqa: E402
from klear_verl.judge.sandbox.zygote.lockdown import (  # noqa: E402
    Lockdown,
    SeccompFilters,
    kernel_notifies,
    prefer_for_oom_kill,
    raise_stack_limit,
)
from klear_verl.judge.sandbox.zygote.namespaces import Namespaces  # noqa: E402

_MAX_SETUP_BYTES = 1 << 18
_CONTROL = 64


def main(fd: int) -> None:
    """Serves the supervisor at the other end of socket `fd` until it goes away."""
    control = linux.Channel(os.dup2(fd, _CONTROL, inheritable=False))
    os.closerange(3, _CONTROL)
    setup = json.loads(control.receive(_MAX_SETUP_BYTES)[0])
    prefer_for_oom_kill()
    raise_stack_limit()
    namespaces = Namespaces()
    if setup["namespaces"]:
        namespaces.enter(setup["readable"])
    sys.path.extend(setup["site"])
    for name in setup["preload"]:
        importlib.import_module(name)
    program.prepare()
    linux.set_dumpable(False)
    if not any(setup["uids"]) and not namespaces.active:
        linux.drop_capabilities()
    linux.no_new_privs()
    lockdown = _lockdown(setup, namespaces)
    for name in [name for name in sys.modules if name.startswith("klear_verl")]:
        # No solution may find them; what runs here holds what it needs.
        del sys.modules[name]
    # No one waits for a solution process, so none may stay as a zombie.
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
    # A collection in a child would touch, and so copy, every page of the inherited heap.
    gc.collect()
    gc.disable()
    gc.freeze()
    control.send(json.dumps({"namespaces": namespaces.active, "refused": namespaces.refused}).encode())
    while True:
        message, fds = control.receive(16)
        if not message:
            return
        _start_solution_process(fds[0], namespaces, lockdown)


def _lockdown(setup: dict[str, Any], namespaces: Namespaces) -> Lockdown:
    abi = linux.landlock_abi() if setup["landlock"] else 0
    programs = [bytes.fromhex(program) for program in setup["seccomp"]]
    filters = SeccompFilters(*programs) if programs else None
    return Lockdown(
        rules=linux.LandlockRules(abi, setup["readable"], setup["writable"]) if abi else None,
        filters=filters,
        notifies=filters is not None and kernel_notifies(filters.notifying),
        uids=range(*setup["uids"]),
        own_pids=namespaces.active,
    )


def _start_solution_process(fd: int, namespaces: Namespaces, lockdown: Lockdown) -> None:
    session = linux.Channel(fd)
    lockdown.next_solution()
    try:
        namespaces.before_fork()
        pid = linux.fork()
        if pid == 0:
            # The zygote's own end of its socket is closed with all else, once the lockdown has used what it needs.
            solution_process.main(session, lockdown)
    except OSError as error:
        # What lies unread when a socket is closed turns into an error at the other end, and hides the reason.
        _, unread = session.receive(solution_process.MAX_MESSAGE)
        for descriptor in unread:
            os.close(descriptor)
        session.send(solution_process.FAILED + f"no process for a solution: {error}".encode())
    finally:
        # After a failure too, or no later fork would succeed.
        namespaces.after_fork()
        os.close(session.detach())


main(int(sys.argv[1]))
