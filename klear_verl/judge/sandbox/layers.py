# SPDX-License-Identifier: Apache-2.0
"""The layers of isolation: what each is made of, and whether it really holds on this machine.

A layer counts as active only when a program in the judge's own child was seen to fail at the forbidden act
(`probe.py`). What cannot be set up is left out; `SandboxSettings.required` says which layers must be there.
"""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from klear_verl.errors import EnvironmentProblem
from klear_verl.judge.sandbox import probe, seccomp
from klear_verl.judge.sandbox.cgroup import Cgroup, NoCgroup
from klear_verl.judge.sandbox.supervisor import Zygote, ZygoteSetup, own_uids

_NAMESPACES = (
    "allow user namespaces (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0), or run "
    "as root with CAP_SYS_ADMIN; in a container its seccomp profile must allow unshare(2)"
)
REMEDIES = {
    "no_new_privs": "run on Linux 3.5 or later, outside a sandbox that refuses prctl(2)",
    "rlimits": "run where setrlimit(2) is allowed, with hard limits (ulimit -H -a) not below the judge's",
    "clean_env": "start the judge with a plain CPython (no wrapper that sets variables)",
    "no_capabilities": "run where capset(2) is allowed",
    "landlock": "run on Linux 5.13 or later with Landlock enabled (CONFIG_SECURITY_LANDLOCK, lsm=landlock,…)",
    "seccomp": "install libseccomp2 and pyseccomp (pip install pyseccomp), on a kernel with seccomp filters",
    "pid_namespace": _NAMESPACES,
    "ipc_namespace": _NAMESPACES,
    "net_namespace": _NAMESPACES,
    "mount_namespace": _NAMESPACES,
    "own_uid": "run the judge as root; its Python must be readable by others, unless there are mount namespaces",
    "cgroup": "delegate a cgroup v2 with the memory and pids controllers and name it in judge.cgroup "
    "(systemd-run --user --scope -p Delegate=yes …), or run as root",
}
"""The names of all layers, and what to do where one is missing."""

_MIB_OF_A_ZYGOTE = 128
_MIB_OF_FILES = 64
_THREADS_OF_A_SOLUTION = 4096

# Imported once, in every zygote, so that no child pays for it. Only what most programs use: every page, and every
# mapping of a shared library, costs at every fork.
# fmt: off
PRELOAD = (
    "bisect", "collections", "collections.abc", "contextlib", "copy", "enum", "functools", "heapq", "io", "itertools",
    "json", "math", "operator", "random", "re", "string", "threading", "time", "typing",
)
# fmt: on


@dataclass(frozen=True)
class SandboxSettings:
    """What a judge wants of its sandbox.

    Args:
        slots: solutions that run at once.
        memory_mib: address space of one solution's process.
        zygotes: names, and the modules that each preloads beyond `PRELOAD`. The first is started at once, and probed.
        required: the layers without which there shall be no sandbox.
        cgroup: "off", "auto" (below our own group), or the path of a delegated group.
    """

    slots: int
    memory_mib: int
    zygotes: Mapping[str, tuple[str, ...]]
    required: tuple[str, ...]
    cgroup: str


class Sandbox:
    """The zygotes of a judge, their control group, and the layers that hold on this machine. `reasons` says why layers
    are missing, where the machine gave a reason.

    Raises:
        EnvironmentProblem: a required layer is missing, or the named control group can't be used.
    """

    def __init__(self, settings: SandboxSettings):
        self.reasons: dict[str, str] = {}
        self._cgroup = self._make_cgroup(settings)
        self._setup = zygote_setup()
        self.zygotes = {
            name: Zygote(self._setup.with_preload(modules), self._cgroup) for name, modules in settings.zygotes.items()
        }
        try:
            self.layers = self._probe(next(iter(self.zygotes.values())))
            require(self.layers, settings.required, self.reasons)
        except EnvironmentProblem:
            self.close()
            raise

    def _probe(self, zygote: Zygote) -> tuple[str, ...]:
        """Has a program try what each layer forbids; returns the layers that held."""
        refused = zygote.start()
        if refused:
            self.reasons |= dict.fromkeys(
                ("pid_namespace", "ipc_namespace", "net_namespace", "mount_namespace"), refused
            )
            hidden = next((path for path in self._setup.readable if not _readable_by_others(path)), "")
            if any(self._setup.uids) and hidden:
                self.reasons["own_uid"] = f"other users can't read {hidden}"
                self._setup = replace(self._setup, uids=(0, 0))
                for made in self.zygotes.values():
                    made.change_users((0, 0))
        held = probe.run(zygote, self._setup)
        if self._cgroup is not None and probe.memory_is_bounded(zygote, self._cgroup):
            held.add("cgroup")
        return tuple(name for name in REMEDIES if name in held)

    def close(self) -> None:
        """Ends all zygotes."""
        for zygote in self.zygotes.values():
            zygote.close()
        if self._cgroup is not None:
            self._cgroup.close()
            self._cgroup = None

    def _make_cgroup(self, settings: SandboxSettings) -> Cgroup | None:
        if settings.cgroup == "off":
            self.reasons["cgroup"] = "judge.cgroup is off"
            return None
        of_solutions_mib = settings.slots * (settings.memory_mib + _MIB_OF_FILES)
        memory_mib = of_solutions_mib + _MIB_OF_A_ZYGOTE * len(settings.zygotes)
        try:
            return Cgroup(settings.cgroup, memory_mib, _THREADS_OF_A_SOLUTION * (1 + settings.slots))
        except NoCgroup as error:
            if settings.cgroup != "auto":
                raise EnvironmentProblem(f"judge.cgroup: {error}", REMEDIES["cgroup"]) from error
            self.reasons["cgroup"] = str(error)
            return None


def zygote_setup() -> ZygoteSetup:
    """The strongest set-up this machine may offer. Solutions can import what is installed beside this interpreter
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
        seccomp=seccomp.compiled(),
        uids=own_uids(),
    )


def _readable_by_others(path: str) -> bool:
    """Whether a user without any rights gets to `path`."""
    real = Path(os.path.realpath(path))
    if not real.exists():
        return True
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in real.parents) and bool(
        real.stat().st_mode & stat.S_IROTH
    )


def require(active: tuple[str, ...], required: tuple[str, ...], reasons: dict[str, str]) -> None:
    """Refuses to go on below the configured minimum.

    Raises:
        EnvironmentProblem: names every missing layer and its remedy.
    """
    missing = [name for name in required if name not in active]
    if missing:
        remedies = "; ".join(
            f"{name}: {REMEDIES.get(name, 'no such layer: one of ' + ', '.join(REMEDIES))}" for name in missing
        )
        named = ", ".join(f"{name} ({reasons[name]})" if name in reasons else name for name in missing)
        raise EnvironmentProblem(
            f"the judge's required isolation is missing: {named} (active: {', '.join(active) or 'none'})", remedies
        )
