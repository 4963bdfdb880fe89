# SPDX-License-Identifier: Apache-2.0
"""Every example runs as its own first lines say, and does what its page says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_judge_in_twenty_lines_says_what_passes_and_what_fails_first():
    lines = run("judge_a_program.py").splitlines()
    assert lines[:2] == ["verdicts: AC AC WA", "pass rate: 0.67, all passed: False"]
    assert lines[2].startswith("first failure: test 2: WA")
    assert "seccomp" in lines[3]


def test_a_data_source_of_ones_own_is_scored_as_the_task_it_was_given(tmp_path):
    told = run("my_data.py", "--out", tmp_path).splitlines()
    assert told == ["right: score +1.0, graded", "wrong: score -1.0, graded", "malformed: score -1.0, malformed"]


def test_the_rows_of_ones_own_are_rows_that_a_run_accepts(tmp_path):
    from klear_verl.reward import Scorer, ScoreRequest, reward_config

    pq = pytest.importorskip("pyarrow.parquet")
    run("my_data.py", "--out", tmp_path)
    rows = (
        pq.read_table(tmp_path / "train.parquet").to_pylist() + pq.read_table(tmp_path / "held_out.parquet").to_pylist()
    )
    assert len({row["prompt"][0]["content"] for row in rows}) == 400
    recipe = yaml.safe_load((EXAMPLES / "my_recipe.yaml").read_text())
    with Scorer(reward_config(recipe["reward"]["reward_kwargs"]["klear"])) as scorer:
        for row in rows:
            scorer.check(ScoreRequest("row", row["data_source"], "", row["reward_model"]["ground_truth"]))


@pytest.fixture
def my_loss(monkeypatch) -> Any:
    """The loss as verl finds it: by its name, after the module was imported."""
    from verl.trainer.ppo.core_algos import get_policy_loss_fn

    monkeypatch.syspath_prepend(EXAMPLES)
    import my_loss  # noqa: F401

    return get_policy_loss_fn("truncated_reinforce")


def test_the_gradient_of_the_loss_of_ones_own_is_the_truncated_ratio_times_the_advantage(my_loss):
    class Config:
        clip_ratio_c = 2.0
        global_batch_info = {"dp_size": 1, "batch_num_tokens": 4, "global_batch_size": 1}  # noqa: RUF012

    log_prob = torch.tensor([[-1.0, -1.0, -1.0, -1.0]], requires_grad=True)
    ratios = torch.tensor([[0.5, 1.0, 3.0, 1.0]])
    advantages = torch.tensor([[1.0, -2.0, 1.0, 7.0]])
    mask = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    loss, _ = my_loss(log_prob.detach() - ratios.log(), log_prob, advantages, mask, "token-mean", Config())
    loss.backward()
    # -min(δ, 2)·Ã / 4 tokens of the mini-batch; the last token is masked.
    expected = torch.tensor([[-0.5, 2.0, -2.0, 0.0]]) / 4
    torch.testing.assert_close(log_prob.grad, expected)


def test_the_recipe_of_ones_own_composes_to_what_it_says_over_the_methods_defaults(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    from klear_verl.launch.compose import compose

    config = compose(str(EXAMPLES / "my_recipe.yaml"), kind="rl")
    assert config.actor_rollout_ref.actor.policy_loss.loss_mode == "truncated_reinforce"
    assert config.actor_rollout_ref.actor.policy_loss.positive_lm_coef == 0.1
    assert config.trainer.v1.trainer_mode == "klear_sync"
    assert config.reward.reward_kwargs.klear.data_sources == {"my_sums": "math"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_recipe_of_ones_own_trains_with_the_data_and_the_loss_of_ones_own(tmp_path):
    from klear_verl.quickstart.world import make_world

    run("my_data.py", "--out", tmp_path / "my_data")
    make_world(tmp_path / "world", 0)
    command = [sys.executable, "-m", "klear_verl.cli", "train", str(EXAMPLES / "my_recipe.yaml")]
    # A random model is right by chance alone: groups without signal train too, and length is what differs.
    overrides = {
        "actor_rollout_ref.model.path": tmp_path / "world" / "model",
        "klear.groups.mode": "keep",
        "data.train_batch_size": 4,
        "actor_rollout_ref.actor.ppo_mini_batch_size": 4,
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": 4,
        "trainer.total_training_steps": 1,
    }
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES), "VERL_USE_EXTERNAL_MODULES": "my_loss"}
    done = subprocess.run(
        [*command, *(f"{key}={value}" for key, value in overrides.items())],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert (tmp_path / "runs" / "my_recipe" / "metrics.jsonl").read_text().count("\n") == 1
