# SPDX-License-Identifier: Apache-2.0
"""The layers of isolation: what each is made of, and whether it really holds on this machine.

A layer counts as active only when a program in the judge's own child was seen to fail at the forbidden act
(`probe.py`). What cannot be set up is left out here; whether that is acceptable is `JudgeConfig.require`'s word.
"""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

from klear_verl.errors import EnvironmentProblem
from klear_verl.judge.config import JudgeConfig
from klear_verl.judge.sandbox import probe, seccomp
from klear_verl.judge.sandbox.cgroup import Cgroup, NoCgroup
from klear_verl.judge.sandbox.supervisor import Zygote, ZygoteSetup, own_uids
from klear_verl.judge.sandbox.tiers import PRELOAD

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

_MIB_OF_A_TIER = 128
_MIB_OF_FILES = 64
_THREADS_OF_A_SOLUTION = 4096


class Isolation:
    """What this machine offers to a judge, its zygotes, and its control group. `reasons` says why layers are missing,
    where the machine said so.

    Raises:
        EnvironmentProblem: the configured control group can't be used.
    """

    def __init__(self, config: JudgeConfig):
        self.reasons: dict[str, str] = {}
        self._cgroup = self._make_cgroup(config)
        self._setup = zygote_setup()
        self._zygotes: list[Zygote] = []

    def zygote(self, modules: tuple[str, ...]) -> Zygote:
        """A zygote that preloads `modules`, not started yet."""
        zygote = Zygote(self._setup.with_preload(modules), self._cgroup)
        self._zygotes.append(zygote)
        return zygote

    def probe(self, zygote: Zygote) -> tuple[str, ...]:
        """Has a program try what each layer forbids; returns the layers that held.

        Raises:
            EnvironmentProblem: the judge can't run even that program.
        """
        refused = zygote.start()
        if refused:
            self.reasons |= dict.fromkeys(
                ("pid_namespace", "ipc_namespace", "net_namespace", "mount_namespace"), refused
            )
            hidden = next((path for path in self._setup.readable if not _readable_by_others(path)), "")
            if any(self._setup.uids) and hidden:
                self.reasons["own_uid"] = f"other users can't read {hidden}"
                self._setup = replace(self._setup, uids=(0, 0))
                for made in self._zygotes:
                    made.change_users((0, 0))
        held = probe.run(zygote, self._setup)
        if self._cgroup is not None and probe.memory_is_bounded(zygote, self._cgroup):
            held.add("cgroup")
        return tuple(name for name in REMEDIES if name in held)

    def close(self) -> None:
        """Ends all zygotes."""
        for zygote in self._zygotes:
            zygote.close()
        if self._cgroup is not None:
            self._cgroup.close()
            self._cgroup = None

    def _make_cgroup(self, config: JudgeConfig) -> Cgroup | None:
        if config.cgroup == "off":
            self.reasons["cgroup"] = "judge.cgroup is off"
            return None
        memory_mib = config.slots * (config.limits.memory_mib + _MIB_OF_FILES) + _MIB_OF_A_TIER * (
            1 + len(config.tiers)
        )
        try:
            return Cgroup(config.cgroup, memory_mib, _THREADS_OF_A_SOLUTION * (1 + config.slots))
        except NoCgroup as error:
            if config.cgroup != "auto":
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
        filters=seccomp.compiled(),
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
