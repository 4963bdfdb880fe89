# SPDX-License-Identifier: Apache-2.0
"""The judge's configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Frozen):
    """Limits of one test. CPU time decides TLE; wall time is the backstop."""

    cpu_s: float = Field(default=4.0, gt=0)
    wall_s: float = Field(default=6.0, gt=0)
    memory_mib: int = Field(default=2048, ge=64)
    stdout_mib: float = Field(default=16.0, gt=0)
    stderr_kib: int = Field(default=4, ge=0)
    open_files: int = Field(default=32, ge=8)


class JudgeConfig(_Frozen):
    """How solutions are run. `max_tests` tests per problem are drawn by (problem id, `seed`) alone, so a group
    shares them (0: all).
    """

    slots: int = Field(default=1, ge=1, description="solutions judged at once; one CPU core each")
    limits: Limits = Limits()
    max_tests: int = Field(default=16, ge=0)
    seed: int = 0
    stop_after_timeouts: int = Field(
        default=3, ge=0, description="0: never; the untested cases count as TLE, and the detail says so"
    )
    ie_retries: int = Field(default=2, ge=0)
    require: tuple[str, ...] = Field(
        default=("no_new_privs", "rlimits", "clean_env"), description="layers without which the judge refuses to start"
    )
