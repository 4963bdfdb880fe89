# SPDX-License-Identifier: Apache-2.0
"""The judge's configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Limits(_Frozen):
    """Limits of one test. CPU time decides TLE; wall time is the backstop."""

    cpu_s: float = Field(default=4.0, gt=0)
    wall_s: float = Field(default=6.0, gt=0)
    memory_mib: int = Field(default=2048, ge=64)
    stdout_mib: float = Field(default=16.0, gt=0)
    stderr_kib: int = Field(default=4, ge=0)
    open_files: int = Field(default=32, ge=8)


UNPRIVILEGED = ("no_new_privs", "rlimits", "clean_env", "no_capabilities", "landlock", "seccomp")
"""The layers that need neither root nor namespaces, only a Linux of 2022 or later."""

# fmt: off
TIERS: dict[str, tuple[str, ...]] = {
    "library": (
        "array",
        "base64",
        "cmath",
        "concurrent.futures",
        "dataclasses",
        "datetime",
        "decimal",
        "fractions",
        "hashlib",
        "inspect",
        "numbers",
        "queue",
        "statistics",
        "struct",
        "textwrap",
        "typing",
    ),
    "pytest": ("pytest",),
    "numpy": ("numpy", "numpy.random", "numpy.linalg"),
    "scipy": ("scipy", "scipy.special", "scipy.optimize"),
    "sympy": ("sympy",),
}
# fmt: on
"""From light to heavy."""


class JudgeConfig(_Frozen):
    """How solutions are run. `max_tests` tests per problem are drawn by (problem id, `seed`) alone, so a group
    shares them (0: all).
    """

    slots: int = Field(default=1, ge=1, description="solutions judged at once; one CPU core each")
    limits: Limits = Limits()
    max_tests: int = Field(default=16, ge=0)
    seed: int = 0
    granularity: Literal["test", "solution"] = Field(
        default="test",
        description="test: a process per test. solution: one per solution, which runs its tests in turn; many times "
        "faster for short tests, and weaker between the tests of one solution",
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
        default=TIERS,
        description="modules that further zygotes preload, for solutions that import one of them; heaviest last",
    )
    cgroup: str = Field(default="auto", description="off, auto (below our own), or the path of a delegated group")
