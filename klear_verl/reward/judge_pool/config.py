# SPDX-License-Identifier: Apache-2.0
"""The schema of `reward.reward_kwargs.klear.judge_pool.*`: where solutions are judged. Imports no Ray."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from klear_verl.utils.config import StrictModel


class JudgePoolConfig(StrictModel):
    """Where solutions are judged: in the calling process, or by judge actors over a Ray cluster
    (docs/concepts/judge_on_ray.md). All keys but `mode` concern the latter.
    """

    mode: Literal["auto", "local", "ray"] = Field(
        default="auto", description="auto: ray in a reward worker of a Ray cluster, local anywhere else"
    )
    nodes: Literal["auto", "all", "cpu_only"] = Field(
        default="auto", description="auto: the nodes without accelerators if they have half of all CPUs, else all nodes"
    )
    cpus_per_node: Annotated[float, Field(gt=0)] | Literal["auto"] = Field(
        default="auto",
        description="CPUs that the judge reserves on each node, one slot each: a number, or a share below 1; auto: "
        "half of a node with accelerators, all but one of any other, without waiting for CPUs that others hold",
    )
    slots_per_process: int = Field(
        default=8, ge=1, description="slots of one actor, which share one Python interpreter; a node may have several"
    )
    queue_per_slot: float = Field(
        default=3.0, ge=0, description="solutions that one client may have waiting at an actor, per slot"
    )
    retries: int = Field(
        default=3, ge=0, description="re-runs of a solution whose actor died; after that it is ungraded"
    )
    linger_s: float = Field(
        default=0.1, ge=0, description="how long an actor may hold back answers, to send several at once"
    )
    start_timeout_s: float = Field(default=120.0, gt=0, description="how long to wait for any judge actor at all")
    attempt_timeout_s: float = Field(default=900.0, gt=0, description="one run of one solution, queueing included")
    unresponsive_s: float = Field(default=60.0, gt=0, description="an actor silent for so long is killed and replaced")
    refresh_s: float = Field(default=5.0, gt=0, description="how often nodes and actors are looked at")
    problem_cache_mib: float = Field(default=256.0, gt=0, description="tests that a process keeps for later responses")

    @field_validator("cpus_per_node")
    @classmethod
    def _whole_above_one(cls, value: float | str) -> float | str:
        if isinstance(value, float) and value > 1 and not value.is_integer():
            raise ValueError("must be a share below 1, or a whole number of CPUs")
        return value
