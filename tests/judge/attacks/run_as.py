# SPDX-License-Identifier: Apache-2.0
"""Runs a command with other privileges: `python run_as.py [--user UID] [--deny-namespaces] COMMAND…`.

--user needs root. Where the interpreter or this tree lies below a folder that only root may enter (/root), the folder
is replaced, for this command alone, by one that shows nothing but what is needed.
--deny-namespaces does what container engines do by default: unshare, setns and clone with namespaces are refused.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_ALL_NAMESPACES = _CLONE_NEWNS | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--user", type=int)
    parser.add_argument("--deny-namespaces", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.user is not None:
        become(options.user)
    if options.deny_namespaces:
        deny_namespaces()
    os.execvp(options.command[0], options.command)


def become(uid: int) -> None:
    """Gives up root for good, keeping what Python needs in sight."""
    needed = [Path(sys.base_prefix), Path(sys.prefix), Path(__file__).resolve().parents[3]]
    closed = {path: _closed_ancestor(path) for path in needed}
    if any(closed.values()):
        _open_up({path: ancestor for path, ancestor in closed.items() if ancestor is not None})
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.environ.update(HOME="/nonexistent", USER=str(uid))
    for path in needed:
        if not os.access(path, os.R_OK | os.X_OK):
            raise SystemExit(f"run_as: user {uid} may not read {path}: make it readable (chmod -R o+rX)")


def _closed_ancestor(path: Path) -> Path | None:
    """The topmost folder above `path` that others may not enter."""
    for ancestor in reversed(path.parents):
        if not ancestor.stat().st_mode & 0o001:
            return ancestor
    return None


def _open_up(closed: dict[Path, Path]) -> None:
    if ctypes.CDLL(None).unshare(_CLONE_NEWNS) != 0:
        raise SystemExit(
            f"run_as: others may not enter {', '.join(map(str, set(closed.values())))}, and mounts are denied"
        )
    _mount("--make-rprivate", "/")
    kept = {}
    for path in closed:
        kept[path] = tempfile.mkdtemp(prefix="run-as-")
        _mount("--bind", str(path), kept[path])
    for ancestor in set(closed.values()):
        _mount("-t", "tmpfs", "-o", "mode=755", "run_as", str(ancestor))
    for path, copy in kept.items():
        path.mkdir(parents=True, exist_ok=True)
        _mount("--bind", copy, str(path))
        subprocess.run(["umount", copy], check=True)
        os.rmdir(copy)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def deny_namespaces() -> None:
    """Refuses new namespaces to this process and all that it starts."""
    import pyseccomp

    refuse = pyseccomp.ERRNO(errno.EPERM)
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    rules.add_rule(refuse, "unshare")
    rules.add_rule(refuse, "setns")
    for bit in range(32):
        if _ALL_NAMESPACES >> bit & 1:
            rules.add_rule(refuse, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, 1 << bit, 1 << bit))
    # Its flags are in memory, out of a filter's sight; the C library falls back to clone.
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    rules.load()


if __name__ == "__main__":
    main()
