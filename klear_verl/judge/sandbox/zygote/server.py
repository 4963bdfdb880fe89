# SPDX-License-Identifier: Apache-2.0
"""The zygote: a lean Python with some modules preloaded, which forks one warden per solution.

It never sees a program, an input, an output or an expected output: it is handed one end of a socket, and the warden
speaks with the supervisor over that. So it has nothing of one solution to pass on to the next, and can serve several at
once. Over its own SOCK_SEQPACKET socket come the set-up, once, and then one message per solution; it answers the set-up
with JSON: {"namespaces": bool, "refused": reason or ""}.
"""

from __future__ import annotations

import _signal
import gc
import importlib
import json
import os
import sys
from typing import Any

from klear_verl.judge.sandbox.zygote import linux, program, solution_process
from klear_verl.judge.sandbox.zygote.channel import Channel
from klear_verl.judge.sandbox.zygote.lockdown import (
    Filters,
    Lockdown,
    kernel_lets_filters_ask,
    raise_stack_limit,
    volunteer_for_the_oom_killer,
)
from klear_verl.judge.sandbox.zygote.namespaces import Spaces

MAX_MESSAGE = 1 << 18

_CONTROL = 64


def main(fd: int) -> None:
    """Serves the supervisor at the other end of socket `fd` until it goes away."""
    control = Channel(os.dup2(fd, _CONTROL, inheritable=False))
    os.closerange(3, _CONTROL)
    setup = json.loads(control.receive(MAX_MESSAGE)[0])
    volunteer_for_the_oom_killer()
    raise_stack_limit()
    spaces = Spaces()
    if setup["namespaces"]:
        spaces.enter(setup["readable"])
    sys.path.extend(setup["site"])
    for name in setup["preload"]:
        importlib.import_module(name)
    program.prepare()
    linux.set_dumpable(False)
    if not any(setup["uids"]) and not spaces.active:
        linux.drop_capabilities()
    linux.no_new_privs()
    lockdown = _lockdown(setup, spaces)
    for name in [name for name in sys.modules if name.startswith("klear_verl")]:
        # No solution shall find them; what runs here holds what it needs.
        del sys.modules[name]
    # Nobody asks how a warden ended, so none may stay as a zombie.
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
    # A collection in a child would touch, and so copy, every page of the inherited heap.
    gc.collect()
    gc.disable()
    gc.freeze()
    control.send(json.dumps({"namespaces": spaces.active, "refused": spaces.refused}).encode())
    while True:
        message, fds = control.receive(16)
        if not message:
            return
        _start_warden(fds[0], spaces, lockdown)


def _lockdown(setup: dict[str, Any], spaces: Spaces) -> Lockdown:
    abi = linux.landlock_abi() if setup["landlock"] else 0
    programs = [bytes.fromhex(program) for program in setup["filters"]]
    filters = Filters(*programs) if programs else None
    return Lockdown(
        rules=linux.LandlockRules(abi, setup["readable"], setup["writable"]) if abi else None,
        filters=filters,
        asks=filters is not None and kernel_lets_filters_ask(filters.asking),
        uids=range(*setup["uids"]),
        own_pids=spaces.active,
    )


def _start_warden(fd: int, spaces: Spaces, lockdown: Lockdown) -> None:
    session = Channel(fd)
    lockdown.next_warden()
    try:
        spaces.before_fork()
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
        spaces.after_fork()
        os.close(session.detach())
