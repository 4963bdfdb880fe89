# SPDX-License-Identifier: Apache-2.0
"""What a run on several nodes needs beyond one on a single node: a Ray cluster to join, and paths that mean the same
everywhere. Other nodes are not looked at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError, EnvironmentProblem
from klear_verl.launch.preflight.data import is_remote, listed_files
from klear_verl.launch.preflight.ray_cluster import cluster_address

_DATA = ("data.train_files", "data.val_files")


def check_shared_paths(cfg: DictConfig, model_key: str) -> None:
    """On several nodes, files that are named must be named absolutely: the processes of other nodes stand elsewhere.

    Raises:
        ConfigError: names the option and the path.
    """
    if int(cfg.trainer.nnodes) < 2:
        return
    model = OmegaConf.select(cfg, model_key)
    named = [(model_key, str(model))] if model and Path(str(model)).exists() else []
    named += [(key, path) for key in _DATA for path in listed_files(cfg, key) if not is_remote(path)]
    for key, path in named:
        if not Path(path).expanduser().is_absolute():
            raise ConfigError(
                f"{key}={path} is relative, but trainer.nnodes={cfg.trainer.nnodes} nodes share no working folder",
                "name it absolutely, on a file system that all nodes see (KLEAR_MODEL, KLEAR_DATA in our recipes)",
            )


def check_cluster_for_nodes(nodes: int, ray_init: Mapping[str, Any]) -> None:
    """A Ray that a run starts by itself has one node.

    Raises:
        EnvironmentProblem: several nodes are asked for, and there is no cluster to join.
    """
    if nodes > 1 and cluster_address(ray_init) is None:
        raise EnvironmentProblem(
            f"trainer.nnodes={nodes}, but there is no Ray cluster here to join, and a run's own has one node",
            "start one first: `ray start --head` on this node, `ray start --address=THIS_NODE:6379` on the others",
        )
