# SPDX-License-Identifier: Apache-2.0
"""The system-call filter, compiled by libseccomp. The solution process installs it, once per solution, and all its
children inherit it.

The solution process may make a process, its children may not. Where the kernel can (5.5), the filter notifies the
supervisor of that call, which allows it for the solution process alone (`monitor.py`). The other way is a second filter
in every child, which costs as much as the fork itself.
"""

from __future__ import annotations

import errno
import signal
import tempfile
from collections.abc import Iterable
from typing import Literal

# A hundred names read better as paragraphs than as a hundred lines.
DENIED = (  # noqa: SIM905
    # Another program.
    "execve execveat uselib "
    # Other processes' memory and secrets.
    "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd perf_event_open "
    "move_pages migrate_pages "
    # Network and other channels.
    "socket connect bind listen accept accept4 shmget shmat shmctl shmdt semget semop semtimedop semctl "
    "msgget msgsnd msgrcv msgctl mq_open mq_unlink memfd_create memfd_secret "
    "io_setup io_submit io_destroy io_cancel io_getevents io_pgetevents io_uring_setup io_uring_enter "
    "io_uring_register fanotify_init fanotify_mark inotify_init inotify_init1 userfaultfd add_key request_key "
    "keyctl bpf "
    # Locks, which other programs can see.
    "flock "
    # Attributes of files, which Landlock doesn't guard, and names.
    "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat truncate utime utimes utimensat futimesat "
    "setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat file_setattr "
    # The machine.
    "unshare setns mount umount umount2 pivot_root chroot move_mount fsopen fsconfig fsmount fspick open_tree "
    "open_tree_attr mount_setattr mknod mknodat init_module finit_module delete_module kexec_load kexec_file_load "
    "reboot swapon swapoff settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname syslog acct "
    "quotactl quotactl_fd iopl ioperm modify_ldt open_by_handle_at name_to_handle_at personality vhangup "
    "sync syncfs lookup_dcookie nfsservctl sched_setscheduler sched_setattr sched_setparam setpriority ioprio_set "
    # The life of other processes.
    "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_send_signal setsid setpgid sched_setaffinity "
    "seccomp fork vfork "
).split()

_CLONE_THREAD = 0x00010000
_STREAM = 1
_LOW_WORD, _SOCKET_TYPE = 0xFFFFFFFF, 0xF
_DENIED_FCNTL = {
    # To have the kernel signal anybody; to see, or to be seen by, other programs.
    "F_SETOWN": 8, "F_SETSIG": 10, "F_SETOWN_EX": 15, "F_SETLEASE": 1024, "F_NOTIFY": 1026,
    "F_GETLK": 5, "F_SETLK": 6, "F_SETLKW": 7, "F_OFD_GETLK": 36, "F_OFD_SETLK": 37, "F_OFD_SETLKW": 38,
}  # fmt: skip
_DENIED_IOCTL_TYPES = (0x58, 0x66, 0x76, 0x89, 0x94)
"""Attributes of files (FS_IOC_SETFLAGS and its like of several file systems), and sockets (FIOSETOWN)."""
_TIOCSTI = 0x5412


def compiled() -> tuple[bytes, ...]:
    """BPF programs: the filter that notifies the supervisor of new processes; one that allows them; and one that
    refuses them and nothing else, for the children under the second. Threads are always allowed. Empty where libseccomp
    or pyseccomp is missing.
    """
    try:
        import pyseccomp  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        return ()
    return _compile(DENIED, "notify"), _compile(DENIED, "allow"), _compile((), "refuse")


def _compile(names: Iterable[str], new_processes: Literal["notify", "allow", "refuse"]) -> bytes:
    import pyseccomp

    refuse = pyseccomp.ERRNO(errno.EPERM)
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in names:
        # Not every architecture has every call (arm64 has no fork).
        if pyseccomp.resolve_syscall(pyseccomp.system_arch(), name) >= 0:
            rules.add_rule(refuse, name)
    if new_processes != "allow":
        action = pyseccomp.NOTIFY if new_processes == "notify" else refuse
        rules.add_rule(action, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0))
    if names:
        for command in _DENIED_FCNTL.values():
            rules.add_rule(refuse, "fcntl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _LOW_WORD, command))
        for kind in _DENIED_IOCTL_TYPES:
            rules.add_rule(refuse, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, 0xFF00, kind << 8))
        rules.add_rule(refuse, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _LOW_WORD, _TIOCSTI))
        # A pair of datagram sockets can send to any address; a pair of streams, which asyncio needs, leads nowhere.
        for kind in set(range(_SOCKET_TYPE + 1)) - {_STREAM}:
            rules.add_rule(refuse, "socketpair", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _SOCKET_TYPE, kind))
        # Its flags are in memory, out of a filter's sight; on ENOSYS glibc falls back to clone.
        rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
        # A child may promise to die with its parent (1 is PR_SET_PDEATHSIG), but not take that back.
        rules.add_rule(
            refuse, "prctl", pyseccomp.Arg(0, pyseccomp.EQ, 1), pyseccomp.Arg(1, pyseccomp.NE, signal.SIGKILL)
        )
        # Limits: one's own (0) may be lowered, nobody else's touched.
        rules.add_rule(refuse, "prlimit64", pyseccomp.Arg(0, pyseccomp.NE, 0))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
