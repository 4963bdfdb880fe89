# SPDX-License-Identifier: Apache-2.0
"""Tries for real, in the judge's own children, what each layer of isolation forbids."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace

from klear_verl.errors import EnvironmentProblem
from klear_verl.judge.sandbox.cgroup import Cgroup
from klear_verl.judge.sandbox.monitor import RunLimits
from klear_verl.judge.sandbox.session import Outcome, Rejected, RunInput, Session
from klear_verl.judge.sandbox.supervisor import ENVIRONMENT, SandboxFailure, Zygote, ZygoteSetup

_LIMITS = RunLimits(cpu_s=4.0, wall_s=6.0, memory_mib=2048, stdout_mib=16.0, stderr_kib=4, open_files=32)
_PROBED_MIB = 96

_COMMON = r"""
import ctypes, json, os, resource, threading

libc = ctypes.CDLL(None, use_errno=True)

def refused(act):
    try:
        act()
    except (OSError, ValueError):  # the latter: resource.setrlimit's way of saying EPERM
        return True
    return False
"""

_ALL_LAYERS = r"""
def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

def open_socket():
    import _socket
    _socket.socket()

def threads_work():
    done = []
    thread = threading.Thread(target=done.append, args=(1,))
    thread.start()
    thread.join()
    return done == [1]

def capabilities():
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    return libc.capget(header, sets) != 0 or any(sets)

PR_GET_NO_NEW_PRIVS = 39
hard = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1] for name in LIMITS}
print(json.dumps({
    "no_new_privs": libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
    "rlimits": all(0 <= hard[name] <= LIMITS[name] for name in LIMITS)
        and refused(lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMITS["AS"] + 1,) * 2)),
    "clean_env": set(os.environ) <= set(ENVIRONMENT),
    "no_capabilities": not capabilities(),
    "seccomp": refused(fork) and refused(open_socket) and refused(lambda: os.kill(os.getpid(), 0)) and threads_work(),
    "landlock": refused(lambda: os.listdir("/")) and refused(lambda: os.mkdir("/tmp/d"))
        and refused(lambda: open("/proc/self/stat")),
    "own_uid": os.getuid() != JUDGE_UID and os.getgid() != JUDGE_GID,
}))
"""

_NAMESPACES = r"""
import socket

def connect():
    with socket.create_connection(("127.0.0.1", PORT), 5):
        pass

def reachable(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True

print(json.dumps({
    "pid_namespace": os.getppid() == 1 and not reachable(JUDGE_PID),
    "ipc_namespace": libc.semget(KEY, 0, 0) < 0,
    "net_namespace": refused(connect),
    "mount_namespace": not os.path.exists(FILE) and refused(lambda: os.mkdir("/tmp/d")),
}))
"""


def run(zygote: Zygote, setup: ZygoteSetup) -> set[str]:
    """The layers that held, but for the control group.

    Raises:
        EnvironmentProblem: the judge can't run even that program.
    """
    hard = {
        "AS": _LIMITS.memory_mib << 20,
        "FSIZE": _LIMITS.stdout_bytes,
        "CORE": 0,
        "NOFILE": _LIMITS.open_files,
        "CPU": _LIMITS.cpu_s + 2,
    }
    known = (
        f"LIMITS = {hard!r}\nENVIRONMENT = {tuple(ENVIRONMENT)!r}\nJUDGE_UID = {os.getuid()}\nJUDGE_GID = {os.getgid()}"
    )
    held = _ask(zygote, f"{known}\n{_COMMON}{_ALL_LAYERS}")
    if zygote.refused:
        return held
    # Without the other layers, which would refuse what a namespace only hides.
    bare = Zygote(replace(setup, seccomp=(), landlock=False))
    try:
        with _things_to_find() as known:
            return held | _ask(bare, f"{known}\n{_COMMON}{_NAMESPACES}")
    finally:
        bare.close()


def _ask(zygote: Zygote, source: str) -> set[str]:
    try:
        outcome = _outcome(zygote, source)
    except (SandboxFailure, Rejected) as error:
        raise EnvironmentProblem(f"the judge can't run a program here: {error}", "see `klear doctor`") from error
    if outcome.status != 0:
        said = outcome.stderr.decode("utf-8", "replace").strip()
        raise EnvironmentProblem(
            f"the judge can't run a program here (wait status {outcome.status}): {said[-1000:]}",
            "check memory and process limits (ulimit -a); the container must allow prctl(2), setrlimit(2), seccomp(2)",
        )
    return {name for name, holds in json.loads(outcome.stdout).items() if holds}


def _outcome(zygote: Zygote, source: str) -> Outcome:
    with Session(zygote, source.encode(), _LIMITS, _LIMITS.cpu_s) as session:
        return session.run(RunInput(), _LIMITS)


@contextlib.contextmanager
def _things_to_find() -> Iterator[str]:
    """A listening socket, a file and a semaphore of ours; yields Python that names them."""
    import ctypes

    libc = ctypes.CDLL(None)
    key = 0x6B6C0000 | (os.getpid() & 0xFFFF)
    semaphore = libc.semget(key, 1, 0o1666)
    with socket.create_server(("127.0.0.1", 0)) as server, tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0o644)
        try:
            yield f"PORT = {server.getsockname()[1]}\nKEY = {key}\nFILE = {file.name!r}\nJUDGE_PID = {os.getpid()}"
        finally:
            if semaphore >= 0:
                libc.semctl(semaphore, 0, 0)  # IPC_RMID


def memory_is_bounded(zygote: Zygote, cgroup: Cgroup) -> bool:
    """Whether the kernel ends a process for taking more than the group's memory."""
    before = cgroup.out_of_memory_kills()
    with cgroup.lowered_to(_PROBED_MIB), contextlib.suppress(SandboxFailure):
        outcome = _outcome(zygote, f"x = b'x' * ({_PROBED_MIB} << 20)")
        return outcome.status != 0 and cgroup.out_of_memory_kills() > before
    return False
