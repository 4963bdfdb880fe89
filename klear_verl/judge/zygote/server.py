# SPDX-License-Identifier: Apache-2.0
"""The zygote: forks one child per test, bounds its time, kills whatever it leaves, and reports what the kernel says
about it.

It never sees a program, an input, an output or an expected output: those pass through file descriptors that it hands
on unread, so a child inherits nothing of earlier tests. One request at a time, one message each way over a
SOCK_SEQPACKET socket:
  request: {"limits", "seed", "mode"} as JSON, with the child's descriptors attached (see `child.DESCRIPTORS`);
  b"kill": end the running child now (output limit); ignored when it has already ended;
  reply: {"status", "reason", "cpu_s", "wall_s", "peak_mib", "leftovers"} as JSON.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from klear_verl.judge.zygote import child, linux

MAX_MESSAGE = 1 << 20
_LONGEST_STARVATION = 10.0
"""The wall limit is extended by the time a child waited for a processor, up to this many times itself."""


def main(fd: int) -> None:
    """Serves the supervisor at the other end of socket `fd` until it goes away."""
    control = _claim(fd)
    setup = json.loads(control.recv(MAX_MESSAGE))
    sys.path.extend(setup["site"])
    for name in setup["preload"]:
        importlib.import_module(name)
    child.prepare()
    linux.become_subreaper()
    linux.set_dumpable(False)
    linux.drop_capabilities()
    linux.no_new_privs()
    abi = linux.landlock_abi() if setup["landlock"] else 0
    rules = linux.LandlockRules(abi, setup["readable"], setup["writable"]) if abi else None
    bpf = base64.b64decode(setup["seccomp"])
    seccomp = linux.SeccompFilter(bpf) if bpf else None
    # A collection in a child would touch, and so copy, every page of the inherited heap.
    gc.collect()
    gc.disable()
    gc.freeze()
    control.send(b"ready")
    with contextlib.suppress(BrokenPipeError):  # the supervisor went away during a test
        while True:
            message, fds, _, _ = socket.recv_fds(control, MAX_MESSAGE, 16)
            if not message:
                break
            if message != b"kill":
                control.send(json.dumps(_run(control, json.loads(message), fds, rules, seccomp)).encode())
    _remove_working_folder()


def _claim(fd: int) -> socket.socket:
    """Moves the socket out of the child's descriptor numbers, and fills those so that nothing received can land
    there.
    """
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)
    os.closerange(3, 64)
    for _ in range(3, 3 + child.DESCRIPTORS):
        os.open(os.devnull, os.O_RDONLY)
    return socket.socket(fileno=high)


def _run(
    control: socket.socket,
    request: dict[str, Any],
    fds: list[int],
    rules: linux.LandlockRules | None,
    seccomp: linux.SeccompFilter | None,
) -> dict[str, Any]:
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        child.main(request, fds, rules, seccomp)
    for fd in fds:
        os.close(fd)
    reason = _wait(control, pid, request["limits"], started)
    if reason != "exit":
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    wall_s = time.monotonic() - started
    leftovers, leftover_cpu_s = _kill_leftovers()
    return {
        "status": status,
        "reason": reason,
        "cpu_s": usage.ru_utime + usage.ru_stime + leftover_cpu_s,
        "wall_s": wall_s,
        "peak_mib": usage.ru_maxrss / 1024,
        "leftovers": leftovers,
    }


def _wait(control: socket.socket, pid: int, limits: dict[str, float], started: float) -> str:
    """Waits for the child's end, or for the reason to end it: "exit", "cpu", "wall" or "kill"."""
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(control, select.POLLIN)
    clock = (~pid << 3) | 2  # clock_getcpuclockid(3): CPU time of all threads of a process
    try:
        while True:
            cpu_left = limits["cpu_s"] - time.clock_gettime(clock)
            if cpu_left <= 0:
                return "cpu"
            elapsed = time.monotonic() - started
            wall_left = limits["wall_s"] - elapsed
            if wall_left <= 0:
                if elapsed >= _LONGEST_STARVATION * limits["wall_s"]:
                    return "wall"
                wall_left += _starved_s(pid)
                if wall_left <= 0:
                    return "wall"
            # Several threads can use CPU faster than time passes, so approach the limit by halves.
            ready = dict(poll.poll(max(5.0, 1000 * min(cpu_left / 2, wall_left))))
            if pidfd in ready:
                return "exit"
            if control.fileno() in ready:
                # b"kill", or the supervisor is gone.
                control.recv(MAX_MESSAGE)
                return "kill"
    finally:
        os.close(pidfd)


def _starved_s(pid: int) -> float:
    """How long the child was ready to run but had no processor: the time of its worst-off thread. 0 where the kernel
    doesn't tell.
    """
    waits = [0]
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                waits.append(int(file.read().split()[1]))
    except (FileNotFoundError, ProcessLookupError):
        # A thread ended meanwhile, or there is no schedstat: what was read so far stands.
        pass
    return max(waits) / 1e9


def _kill_leftovers() -> tuple[int, float]:
    """Kills all descendants, which as orphans are all our children. Returns their number and their CPU seconds."""
    killed, cpu_s = 0, 0.0
    while True:
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return killed, cpu_s
        if pid:
            killed += 1
            cpu_s += usage.ru_utime + usage.ru_stime
            continue
        for orphan in _children():
            os.kill(orphan, signal.SIGKILL)
        time.sleep(0.001)


def _children() -> list[int]:
    me, children = str(os.getpid()), []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as file:
                parent = file.read().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
        if parent == me:
            children.append(int(entry))
    return children


def _remove_working_folder() -> None:
    folder = os.getcwd()
    os.chdir("/")
    # The supervisor empties the folder; where it was killed before it could, this is the last chance to leave nothing
    # behind.
    if os.path.isdir(folder) and not os.listdir(folder):
        os.rmdir(folder)
