# SPDX-License-Identifier: Apache-2.0
"""Runs on several nodes: paths must be absolute, and a cluster must be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from klear_verl.errors import ConfigError, EnvironmentProblem
from klear_verl.launch.preflight.ray_cluster import check_cluster_for_nodes, check_shared_paths
from klear_verl.launch.preflight.view import SFTView
from tests.launch.preflight_samples import sft_view


def cfg(nodes: int, model: str, train: str, val: list[str]) -> SFTView:
    return sft_view({"trainer.nnodes": nodes, "model.path": model, "data.train_files": train, "data.val_files": val})


def test_relative_paths_are_fine_on_one_node_and_refused_on_two() -> None:
    check_shared_paths(cfg(1, ".", "a.parquet", ["b.parquet"]), "model.path")
    for model, train, val, named in [
        (".", "/a.parquet", "/b.parquet", r"model\.path=\."),
        ("/", "a.parquet", "/b.parquet", r"data\.train_files=a\.parquet"),
        ("/", "/a.parquet", "b.parquet", r"data\.val_files=b\.parquet"),
    ]:
        with pytest.raises(ConfigError, match=f"{named} is relative, but trainer.nnodes=2"):
            check_shared_paths(cfg(2, model, train, [val]), "model.path")


def test_ids_and_remote_files_are_no_relative_paths() -> None:
    check_shared_paths(cfg(2, "Qwen/Qwen3-8B", "hdfs://a.parquet", ["~/b.parquet"]), "model.path")


def test_several_nodes_need_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    check_cluster_for_nodes(1, {})
    with pytest.raises(EnvironmentProblem, match=r"trainer\.nnodes=2, but there is no Ray cluster") as caught:
        check_cluster_for_nodes(2, {})
    assert "ray start --head" in caught.value.remedy
    check_cluster_for_nodes(2, {"address": "head:6379"})
