# SPDX-License-Identifier: Apache-2.0
"""How many judge actors go on which node, and with how many slots: a function of `ray.nodes()` and the configuration
alone, so that every client comes to the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klear_verl.reward.judge_pool.config import JudgePoolConfig

_ACCELERATORS = ("GPU", "NPU", "TPU")


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
