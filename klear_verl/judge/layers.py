# SPDX-License-Identifier: Apache-2.0
"""The layers of isolation: what each is made of, and whether it really holds on this machine.

A layer counts as active only when a program in the judge's own child was seen to fail at the forbidden act. What
cannot be set up is left out here; whether that is acceptable is `JudgeConfig.require`'s word.
"""

from __future__ import annotations

import errno
import json
import sys
import sysconfig
import tempfile
from pathlib import Path

from klear_verl.errors import EnvironmentProblem
from klear_verl.judge.config import Limits
from klear_verl.judge.supervisor import ENVIRONMENT, Zygote, ZygoteDied, ZygoteSetup

REMEDIES = {
    "no_new_privs": "run on Linux 3.5 or later, outside a sandbox that refuses prctl(2)",
    "rlimits": "run where setrlimit(2) is allowed, with hard limits (ulimit -H -a) not below the judge's",
    "clean_env": "start the judge with a plain CPython (no wrapper that sets variables)",
    "no_capabilities": "run where capset(2) is allowed",
    "seccomp": "install libseccomp2 and pyseccomp (pip install pyseccomp), on a kernel with seccomp filters",
    "landlock": "run on Linux 5.13 or later with Landlock enabled (CONFIG_SECURITY_LANDLOCK, lsm=landlock,…)",
}
"""The names of all layers, and what to do where one is missing."""

# Imported once, in the zygote, so that no child pays for it. Small on purpose: every page costs at every fork.
# fmt: off
PRELOAD = (
    "abc", "array", "base64", "bisect", "collections", "collections.abc", "contextlib", "copy", "dataclasses",
    "datetime", "decimal", "enum", "fractions", "functools", "heapq", "io", "itertools", "json", "math",
    "numbers", "operator", "queue", "random", "re", "statistics", "string", "struct", "textwrap", "threading",
    "time", "typing",
)
# fmt: on

# A hundred names read better as paragraphs than as a hundred lines.
DENIED_CALLS = (  # noqa: SIM905
    # Another process, another program. clone and clone3 have rules of their own, because threads are allowed.
    "fork vfork execve execveat "
    # Other processes' life, memory and secrets.
    "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_send_signal pidfd_getfd ptrace "
    "process_vm_readv process_vm_writev process_madvise kcmp perf_event_open "
    # Network and other channels.
    "socket socketpair connect bind listen accept accept4 sendto sendmsg sendmmsg shmget shmat shmctl semget "
    "semop semtimedop semctl msgget msgsnd msgrcv msgctl mq_open mq_unlink memfd_create memfd_secret "
    "io_uring_setup io_uring_enter io_uring_register fanotify_init inotify_init inotify_init1 userfaultfd "
    "add_key request_key keyctl bpf "
    # Attributes of files, which Landlock doesn't guard.
    "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat truncate utime utimes utimensat futimesat "
    "setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr "
    # The machine.
    "unshare setns mount umount2 pivot_root chroot move_mount fsopen open_tree mount_setattr mknod mknodat "
    "init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff settimeofday "
    "clock_settime clock_adjtime adjtimex sethostname setdomainname syslog acct quotactl iopl ioperm "
    "open_by_handle_at name_to_handle_at personality setsid setpgid sched_setaffinity sched_setscheduler "
    "sched_setattr setpriority ioprio_set "
).split()

_CLONE_THREAD = 0x00010000


def seccomp_program() -> bytes:
    """The compiled system-call filter; b"" where libseccomp or pyseccomp is missing."""
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):
        return b""
    refuse = pyseccomp.ERRNO(errno.EPERM)
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in DENIED_CALLS:
        # Not every architecture has every call (arm64 has no fork).
        if pyseccomp.resolve_syscall(pyseccomp.system_arch(), name) >= 0:
            rules.add_rule(refuse, name)
    # Limits: one's own (0) may be lowered, nobody else's touched.
    rules.add_rule(refuse, "prlimit64", pyseccomp.Arg(0, pyseccomp.NE, 0))
    rules.add_rule(refuse, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0))
    # Its flags are in memory, out of a filter's sight; on ENOSYS glibc falls back to clone.
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def zygote_setup() -> ZygoteSetup:
    """The strongest set-up this machine offers. Solutions can import what is installed beside this interpreter
    (numpy, …).
    """
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    libraries = [
        *paths,
        str(Path(sys.base_prefix) / "lib"),
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
    ]
    system = ["/usr/share/zoneinfo", "/etc/localtime", "/etc/ld.so.cache", "/dev/urandom", "/dev/random", "/dev/zero"]
    return ZygoteSetup(
        preload=PRELOAD,
        site=tuple(dict.fromkeys(paths[2:])),
        readable=tuple(dict.fromkeys([*libraries, *system])),
        writable=("/dev/null",),
        seccomp=seccomp_program(),
    )


_PROBE = r"""
import ctypes, json, os, resource, threading

libc = ctypes.CDLL(None)

def refused(act):
    try:
        act()
    except OSError:
        return True
    return False

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

def write_a_byte():
    with open("probe", "wb") as file:
        file.write(b"x")

PR_GET_NO_NEW_PRIVS = 39
hard = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1] for name in LIMITS}
print(json.dumps({
    "no_new_privs": libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
    "rlimits": all(0 <= hard[name] <= LIMITS[name] for name in LIMITS) and refused(write_a_byte),
    "clean_env": set(os.environ) <= set(ENVIRONMENT),
    "no_capabilities": not capabilities(),
    "seccomp": refused(fork) and refused(open_socket) and threads_work(),
    "landlock": refused(lambda: os.listdir("/")) and refused(lambda: os.mkdir("d"))
        and refused(lambda: open("/proc/self/stat")),
}))
"""


def probe(zygote: Zygote) -> tuple[str, ...]:
    """Runs a program that tries what each layer forbids. Returns the layers that held.

    Raises:
        EnvironmentProblem: the judge can't run even that program.
    """
    limits = Limits()
    hard = {"AS": limits.memory_mib << 20, "FSIZE": 0, "CORE": 0, "NOFILE": limits.open_files, "CPU": limits.cpu_s + 2}
    source = f"LIMITS = {hard!r}\nENVIRONMENT = {tuple(ENVIRONMENT)!r}\n{_PROBE}"
    payload = json.dumps({"source": source}).encode()
    try:
        outcome = zygote.run("stdio", payload, b"", b"", limits, 0)
    except ZygoteDied as error:
        raise EnvironmentProblem(f"the judge can't run a program here: {error}", "see `klear doctor`") from error
    if outcome.status != 0:
        said = (outcome.report.removeprefix(b"C") + outcome.stderr).decode("utf-8", "replace").strip()
        raise EnvironmentProblem(
            f"the judge can't run a program here (wait status {outcome.status}): {said[-1000:]}",
            "check memory and process limits (ulimit -a); the container must allow prctl(2), setrlimit(2), seccomp(2)",
        )
    held = json.loads(outcome.stdout)
    return tuple(name for name in REMEDIES if held[name])


def require(active: tuple[str, ...], required: tuple[str, ...]) -> None:
    """Refuses to go on below the configured minimum.

    Raises:
        EnvironmentProblem: names every missing layer and its remedy.
    """
    missing = [name for name in required if name not in active]
    if missing:
        remedies = "; ".join(
            f"{name}: {REMEDIES.get(name, 'no such layer: one of ' + ', '.join(REMEDIES))}" for name in missing
        )
        raise EnvironmentProblem(
            f"the judge's required isolation is missing: {', '.join(missing)} (active: {', '.join(active) or 'none'})",
            remedies,
        )
