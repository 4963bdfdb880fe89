# SPDX-License-Identifier: Apache-2.0
"""The Linux calls that the standard library lacks: prctl, capset, namespaces, mounts, seccomp and Landlock, through
ctypes; and messages with descriptors, without its `socket` module, whose classes and libraries would be copied, or
mapped, at every fork. Policy is elsewhere.
"""

from __future__ import annotations

import _socket
import ctypes
import errno
import os
import time

_libc = ctypes.CDLL(None, use_errno=True)
_libc_holding_the_gil = ctypes.PyDLL(None, use_errno=True)

_FORK_ATTEMPTS, _FORK_PAUSE_S = 200, 0.005
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3
_SECCOMP_CALL = {"x86_64": 317, "aarch64": 277}
_CAPABILITY_VERSION_3 = 0x20080522
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE = 1 << 14, 1 << 18
_MNT_DETACH = 2
# Landlock's numbers are the same on every architecture.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_RULE_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3


def _check(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def _prctl(option: int, value: int, pointer: object = None) -> None:
    # Every argument is passed as a full word: the kernel insists on zeros in the unused ones.
    rest = ctypes.c_ulong(0) if pointer is None else pointer
    zero = ctypes.c_ulong(0)
    _check(_libc.prctl(option, ctypes.c_ulong(value), rest, zero, zero), f"prctl({option})")


def no_new_privs() -> None:
    """No exec of this process or its children can gain privileges; also the condition for seccomp and Landlock."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def become_subreaper() -> None:
    """Orphaned descendants become our children, however they detached themselves."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_dumpable(dumpable: bool) -> None:
    """Whether processes of the same user may ptrace this one, or read its memory."""
    _prctl(_PR_SET_DUMPABLE, int(dumpable))


def die_with_parent(signal_number: int) -> None:
    """The kernel sends this process `signal_number` when its parent dies."""
    _prctl(_PR_SET_PDEATHSIG, signal_number)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


_no_capabilities = ctypes.byref(_CapabilityHeader(_CAPABILITY_VERSION_3, 0)), ctypes.byref((ctypes.c_uint32 * 6)())


def drop_capabilities() -> None:
    """Even as root: no capability, so no raised limits, and no look into processes that have more."""
    _check(_libc.capset(*_no_capabilities), "capset")


class SeccompFilter:
    """A compiled BPF program, prepared once and installed in many processes."""

    class _Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    def __init__(self, bpf: bytes):
        self._program = self._Program(len(bpf) // 8, bpf)

    def install(self) -> None:
        """Binds this process for good."""
        self._install(0)

    def install_with_listener(self) -> int:
        """Binds this process for good; returns the descriptor on which the filter's notifications arrive
        (seccomp_unotify(2)).

        Raises:
            OSError: the kernel can't, or a filter further up has a listener already.
        """
        return self._install(_SECCOMP_FILTER_FLAG_NEW_LISTENER)

    def _install(self, flags: int) -> int:
        number = ctypes.c_long(_SECCOMP_CALL[os.uname().machine])
        mode, flags_word = ctypes.c_ulong(_SECCOMP_SET_MODE_FILTER), ctypes.c_ulong(flags)
        return _check(_libc.syscall(number, mode, flags_word, ctypes.byref(self._program)), "seccomp")


def fork() -> int:
    """fork(2) without Python's at-fork handlers, in a process with one thread.

    Those handlers (threading's, random's) take longer than the fork itself, and do what is of no use here: locks that
    no other thread can hold, and a random seed that every child replaces.
    """
    pid = _libc_holding_the_gil.fork()
    for _ in range(_FORK_ATTEMPTS):
        if pid >= 0 or ctypes.get_errno() != errno.EAGAIN:
            break
        # At a limit on processes: threads of a program that was killed count until the kernel has removed them.
        time.sleep(_FORK_PAUSE_S)
        pid = _libc_holding_the_gil.fork()
    return _check(pid, "fork")


def unshare(flags: int) -> None:
    """Moves this process (with CLONE_NEWPID: its next children) into new namespaces."""
    _check(_libc.unshare(ctypes.c_int(flags)), f"unshare({flags:#x})")


def enter_namespace(fd: int, kind: int) -> None:
    """Joins the namespace behind `fd`."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """mount(2)."""
    data = options.encode() or None
    result = _libc.mount(os.fsencode(source), os.fsencode(target), kind and kind.encode(), ctypes.c_ulong(flags), data)
    _check(result, f"mount({target})")


def pivot_root(new_root: str) -> None:
    """Makes the mount `new_root` the root, and lets go of the old one."""
    os.chdir(new_root)
    # "." twice stacks the old root on the new one, from where it is detached (pivot_root(2)).
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount2")
    os.chdir("/")


def landlock_abi() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    version = _libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(version, 0)


class LandlockRules:
    """A rule set that lets files beneath some paths be read, and nothing else of the file system, TCP or foreign
    processes be touched.
    """

    class _Attributes(ctypes.Structure):
        _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))

    class _Beneath(ctypes.Structure):
        _pack_ = 1
        _fields_ = (("allowed", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))

    def __init__(self, abi: int, readable: list[str], writable: list[str]):
        files = (1 << 13) - 1
        for since, bit in ((2, 13), (3, 14), (5, 15)):
            files |= (1 << bit) if abi >= since else 0
        attributes = self._Attributes(files, 0b11 if abi >= 4 else 0, 0b11 if abi >= 6 else 0)
        # Old kernels refuse a structure with fields they do not know.
        size = 24 if abi >= 6 else 16 if abi >= 4 else 8
        create = _libc.syscall(
            _LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0)
        )
        self.fd = _check(create, "landlock_create_ruleset")
        for path in readable:
            self._allow(path, _READ_FILE | _READ_DIR | _EXECUTE)
        for path in writable:
            self._allow(path, _READ_FILE | _WRITE_FILE)

    def _allow(self, path: str, access: int) -> None:
        if not os.path.exists(path):
            return
        if not os.path.isdir(path):
            access &= ~_READ_DIR
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = self._Beneath(access, parent)
        added = _libc.syscall(
            _LANDLOCK_ADD_RULE, self.fd, _LANDLOCK_RULE_PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0)
        )
        os.close(parent)
        _check(added, f"landlock_add_rule({path})")

    def restrict(self) -> None:
        """Binds this thread, and those it starts, for good."""
        _check(_libc.syscall(_LANDLOCK_RESTRICT_SELF, self.fd, ctypes.c_uint32(0)), "landlock_restrict_self")


class Channel:
    """This process's end of a SOCK_SEQPACKET socket that it was started with."""

    def __init__(self, fd: int):
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd)
        self._space = _socket.CMSG_SPACE(8 * 4)

    def receive(self, size: int) -> tuple[bytes, list[int]]:
        """A message (b"": the other end is gone) and the descriptors that came with it."""
        message, ancillary, _, _ = self._socket.recvmsg(size, self._space)
        if not ancillary:
            return message, []
        _, _, data = ancillary[0]
        return message, list(memoryview(data).cast("i"))

    def send(self, message: bytes, fd: int = -1) -> None:
        """Sends a message, and with it a descriptor if there is one."""
        if fd < 0:
            self._socket.send(message)
        else:
            self._socket.sendmsg([message], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, "little"))])

    def detach(self) -> int:
        """Gives the descriptor away."""
        return self._socket.detach()
