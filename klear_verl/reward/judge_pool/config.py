# SPDX-License-Identifier: Apache-2.0
"""Where solutions are judged: the schema of `reward.reward_kwargs.klear.judge_pool.*`, and how many judge actors go on
which node. Imports no Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from klear_verl.utils.config import StrictModel

_ACCELERATORS = ("GPU", "NPU", "TPU")


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


@dataclass(frozen=True)
class Placement:
    """One judge actor: the `index`-th on its node. `node_slots` are those of all actors of the node."""

    node_id: str
    host: str
    index: int
    slots: int
    node_slots: int

    @property
    def place(self) -> str:
        """As a person reads it."""
        return f"node {self.host} ({self.node_id[:8]})"


def plan(nodes: Sequence[Mapping[str, Any]], config: JudgePoolConfig) -> list[Placement]:
    """The actors that the live nodes should have.

    A function of `ray.nodes()` and the configuration alone, so that every client comes to the same answer.

    Above `slots_per_process` slots, a node gets several actors of equal size: each slot costs its process some Python,
    under one interpreter lock.
    """
    placements = []
    for node in _eligible([node for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) >= 1], config):
        node_slots = _slots(node, config)
        processes = math.ceil(node_slots / config.slots_per_process)
        for index in range(processes):
            slots = node_slots // processes + (index < node_slots % processes)
            placements.append(Placement(node["NodeID"], node["NodeManagerHostname"], index, slots, node_slots))
    return placements


def _eligible(nodes: list[Mapping[str, Any]], config: JudgePoolConfig) -> list[Mapping[str, Any]]:
    without = [node for node in nodes if not _has_accelerator(node)]
    if config.nodes == "all" or (config.nodes == "auto" and 2 * _cpus(without) < _cpus(nodes)):
        return nodes
    return without


def _slots(node: Mapping[str, Any], config: JudgePoolConfig) -> int:
    cpus = int(node["Resources"]["CPU"])
    if config.cpus_per_node == "auto":
        wanted = cpus // 2 if _has_accelerator(node) else cpus - 1
    elif config.cpus_per_node < 1:
        wanted = int(cpus * config.cpus_per_node)
    else:
        wanted = int(config.cpus_per_node)
    return max(1, min(cpus, wanted))


def _has_accelerator(node: Mapping[str, Any]) -> bool:
    return any(node["Resources"].get(name, 0) > 0 for name in _ACCELERATORS)


def _cpus(nodes: list[Mapping[str, Any]]) -> float:
    return sum(node["Resources"]["CPU"] for node in nodes)
