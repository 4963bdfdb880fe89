# SPDX-License-Identifier: Apache-2.0
"""The zygote's namespaces: which of them this machine gives, a root of its own with nothing but Python's libraries in
it, and a fresh process and IPC namespace for every solution.

What the machine refuses is left out, with the reason; `SandboxSettings.required` says which layers must be there.
"""

from __future__ import annotations

import _signal
import errno
import os
import stat
from typing import NoReturn

from klear_verl.judge.sandbox.zygote import linux

_ALWAYS = linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWPID
# A folder that every machine has and no program needs: the new root is mounted over it, in a namespace of our own.
_UNNEEDED = "/sys"
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_STANDARD_STREAMS = {
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "fd": "/proc/self/fd",
}
_MAX_LINKS = 40
# MS_NOSUID, NODEV, NOEXEC, NOATIME and NODIRATIME have the same numbers in statvfs(3); a user namespace may not clear
# them.
_KEPT_FLAGS = 2 | 4 | 8 | 1024 | 2048


class Namespaces:
    """The namespaces that this process entered. `refused` says why there are none, or no root of its own ("")."""

    def __init__(self) -> None:
        self.refused = ""
        self._own_pids = -1

    @property
    def active(self) -> bool:
        """Whether each solution gets a process namespace of its own."""
        return self._own_pids >= 0

    def enter(self, readable: list[str]) -> None:
        """Enters all namespaces, or none. The caller goes on as process 1 of a new process namespace.

        Args:
            readable: the paths that the new root holds, read-only.
        """
        try:
            _unshare()
        except OSError as error:
            self.refused = str(error)
            return
        _go_on_as_init()
        self._own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _new_root(readable)
        except OSError as error:
            self.refused = str(error)

    def before_fork(self) -> None:
        """Gives the next child a process and an IPC namespace of its own."""
        if self.active:
            linux.unshare(linux.CLONE_NEWPID | linux.CLONE_NEWIPC)

    def after_fork(self) -> None:
        """In the parent: without this, the next child would join the namespace of the last one, or fail once that is
        gone.
        """
        if self.active:
            linux.enter_namespace(self._own_pids, linux.CLONE_NEWPID)


def _unshare() -> None:
    try:
        linux.unshare(_ALWAYS)
    except PermissionError:
        uid, gid = os.getuid(), os.getgid()
        linux.unshare(_ALWAYS | linux.CLONE_NEWUSER)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)


def _go_on_as_init() -> None:
    pid = os.fork()
    if pid:
        _wait_and_exit(pid)
    # In case the process that waits is killed.
    linux.die_with_parent(_signal.SIGKILL)


def _wait_and_exit(pid: int) -> NoReturn:
    os.closerange(0, 256)
    _, status = os.waitpid(pid, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _new_root(readable: list[str]) -> None:
    """Makes a file system of `readable`, a few devices and /proc, and moves into it.

    Nothing in it may clash, wherever `readable` lies: in /tmp, /dev/shm or /sys, inside one another, behind links.
    """
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    places, links = _real_places([*readable, *_DEVICES])
    # Opened before the new root covers any of them.
    opened = [(place, os.open(place, os.O_PATH | os.O_CLOEXEC)) for place in places]
    root = _UNNEEDED
    linux.mount("tmpfs", root, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=1m,mode=755")
    umask = os.umask(0o022)  # or another user's solutions could not enter the folders
    for link, target in links.items():
        os.makedirs(root + os.path.dirname(link), exist_ok=True)
        os.symlink(target, root + link)
    for place, fd in opened:
        _show(fd, root + place)
        os.close(fd)
    _show_proc(root + "/proc")
    if not _is_inside("/dev", places):
        for name, target in _STANDARD_STREAMS.items():
            if not os.path.lexists(f"{root}/dev/{name}"):
                os.symlink(target, f"{root}/dev/{name}")
    if not os.path.lexists(root + "/tmp"):
        os.mkdir(root + "/tmp")
    os.umask(umask)
    linux.pivot_root(root)
    linux.mount("none", "/", None, linux.MS_REMOUNT | linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV)


def _real_places(paths: list[str]) -> tuple[list[str], dict[str, str]]:
    """(where the paths lead in the end, without places inside others and in /proc; the symbolic links on the way)

    Raises:
        OSError: one of them is the whole file system.
    """
    all_links: dict[str, str] = {}
    found = {place for path in paths if (place := _follow(path, all_links))}
    if "/" in found:
        raise OSError(errno.EINVAL, "Python's libraries are the root of the file system: there is nothing to hide")
    places: list[str] = []
    for place in sorted(found, key=lambda place: place.split("/")):
        if not _is_inside(place, ["/proc", *places]):
            places.append(place)
    return places, {link: to for link, to in all_links.items() if not _is_inside(link, ["/proc", *places])}


def _follow(path: str, links: dict[str, str]) -> str:
    """Where `path` leads; "" if nowhere. Adds the symbolic links on the way to `links`: where each is, and its text."""
    here, left, hops = "/", path.split("/"), 0
    while left and hops <= _MAX_LINKS:
        name = left.pop(0)
        there = os.path.normpath(os.path.join(here, name))
        if os.path.islink(there):
            links[there] = os.readlink(there)
            left = links[there].split("/") + left
            here = "/" if links[there].startswith("/") else here
            hops += 1
        elif os.path.lexists(there):
            here = there
        else:
            return ""
    return here if hops <= _MAX_LINKS else ""


def _is_inside(path: str, places: list[str]) -> bool:
    return any(path == place or path.startswith(place + "/") for place in places)


def _show_proc(target: str) -> None:
    """Landlock keeps /proc shut; but /dev/stdin, a common idiom, leads through /proc/self/fd.

    Best is one that shows a process only what it may look into; where parts of the outer one are covered, as in
    containers, the kernel refuses all but the outer one itself.
    """
    os.mkdir(target)
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    for options in ("hidepid=4", "hidepid=2", ""):
        try:
            linux.mount("proc", target, "proc", flags, options)
            return
        except OSError:
            continue
    linux.mount("/proc", target, None, linux.MS_BIND | linux.MS_REC)


def _show(fd: int, target: str) -> None:
    """Puts what `fd` stands for into the new root, read-only."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    linux.mount(f"/proc/self/fd/{fd}", target, None, linux.MS_BIND | linux.MS_REC)
    flags = os.statvfs(fd).f_flag & _KEPT_FLAGS
    linux.mount("none", target, None, linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | flags)
