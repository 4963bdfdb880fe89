# SPDX-License-Identifier: Apache-2.0
"""The judge's configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from klear_verl.judge import tiers
from klear_verl.judge.sandbox.layers import SandboxSettings
from klear_verl.judge.sandbox.monitor import RunLimits
from klear_verl.utils.config import StrictModel


class Limits(StrictModel):
    """Limits of one test. CPU time decides TLE; wall time is the backstop."""

    cpu_s: float = Field(default=4.0, gt=0)
    wall_s: float = Field(default=6.0, gt=0)
    memory_mib: int = Field(default=2048, ge=64)
    stdout_mib: float = Field(default=16.0, gt=0)
    stderr_kib: int = Field(default=4, ge=0)
    open_files: int = Field(default=32, ge=8)

    def for_run(self, cpu_s: float | None = None) -> RunLimits:
        """The same, as the sandbox takes them; with a problem's own CPU limit, and wall time in proportion."""
        limits = RunLimits(**self.model_dump())
        factor = 1.0 if cpu_s is None else cpu_s / self.cpu_s
        return replace(limits, cpu_s=self.cpu_s if cpu_s is None else cpu_s, wall_s=self.wall_s * factor)


UNPRIVILEGED = ("no_new_privs", "rlimits", "clean_env", "no_capabilities", "landlock", "seccomp")
"""The layers that need neither root nor namespaces, only a Linux of 2022 or later."""


class JudgeConfig(StrictModel):
    """How solutions are run. `max_tests` tests per problem are drawn by (problem id, `seed`) alone, so a group
    shares them (0: all).
    """

    slots: int = Field(default=1, ge=1, description="solutions judged at once; one CPU core each")
    limits: Limits = Limits()
    max_tests: int = Field(default=16, ge=0)
    seed: int = 0
    granularity: Literal["test", "solution"] = Field(
        default="test",
        description="test: a process per test. solution: a process per solution, which runs its tests one after the "
        "other; many times faster for short tests, and weaker between the tests of one solution",
    )
    budget_cpu_s: float = Field(default=30.0, gt=0, description="CPU time of one solution; the untested cases fail")
    stop_after_timeouts: int = Field(
        default=3, ge=0, description="0: never; the untested cases count as TLE, and the detail says so"
    )
    ie_retries: int = Field(default=2, ge=0)
    require: tuple[str, ...] = Field(
        default=UNPRIVILEGED, description="layers without which the judge refuses to start"
    )
    tiers: dict[str, tuple[str, ...]] = Field(
        default=tiers.TIERS,
        description="modules that further zygotes preload, for solutions that import one of them; heaviest last",
    )
    cgroup: str = Field(default="auto", description="off, auto (below our own), or the path of a delegated group")

    def sandbox(self) -> SandboxSettings:
        """What the judge wants of its sandbox: a zygote for each tier whose modules are installed."""
        return SandboxSettings(
            slots=self.slots,
            memory_mib=self.limits.memory_mib,
            zygotes={tiers.STD: (), **tiers.available(self.tiers)},
            required=self.require,
            cgroup=self.cgroup,
        )
