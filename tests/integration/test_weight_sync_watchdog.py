# SPDX-License-Identifier: Apache-2.0
"""A rollout that fails while it receives new weights: stock verl waits for ever; ours ends with the rollout's error."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from klear_verl.quickstart.world import make_world
from tests.running import running, wait_while_progressing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

# Put on the path of every process of the run: the real receiver, in vLLM's worker, raises in the middle of a transfer.
SABOTAGE = """
import sys
import importlib.abc, importlib.machinery

TARGET = "verl.workers.rollout.vllm_rollout.bucketed_weight_transfer"

class Loader(importlib.abc.Loader):
    def __init__(self, inner): self.inner = inner
    def create_module(self, spec): return self.inner.create_module(spec)
    def exec_module(self, module):
        self.inner.exec_module(module)
        def receive_weights(self, on_bucket_received):
            self._init_socket()
            self._init_buffer()
            self.socket.recv_pyobj()
            raise RuntimeError("sabotaged receiver")
        module.BucketedWeightReceiver.receive_weights = receive_weights

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != TARGET: return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        spec.loader = Loader(spec.loader)
        return spec

sys.meta_path.insert(0, Finder())
"""


def test_run_ends_with_the_rollouts_error_and_leaves_nothing(tmp_path: Path) -> None:
    make_world(tmp_path / "world", 0)
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(SABOTAGE)
    environment = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "path"), os.environ.get("PYTHONPATH", "")]),
        "KLEAR_QUICKSTART": str(tmp_path),
    }
    model = f"actor_rollout_ref.model.path={tmp_path}/world/model"
    command = [sys.executable, "-m", "klear_verl.cli", "train", "quickstart/math_rl", model]
    command.append("trainer.total_training_steps=1")  # should the sabotage ever miss, the test still ends soon
    with running(command, tmp_path / "output", **environment) as run:
        wait_while_progressing(run, until=lambda: "sending the weights" in run.output)
        wait_while_progressing(run)
        assert run.process.returncode == 1
        assert "sabotaged receiver" in run.output.split("the run failed:")[1]
        assert run.processes() == []
        assert run.segments_left() == []
