# SPDX-License-Identifier: Apache-2.0
"""kill -9 in the middle of a checkpoint, for real; the same command goes on, to the same bits.

benchmarks/kill_matrix.py does this to every process of a run, at every moment of a step; docs/concepts/resume.md has
what came of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from kill_bench.attempt import TRACKER, Attempt, tracked_step
from kill_bench.checkpoints import differences, rollouts

from klear_verl.quickstart.world import make_world
from tests.running import wait_for_success, wait_while_progressing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

UNINTERRUPTED = (2, 3)
"""Steps that the first attempt makes in one go after its first checkpoint, and the second after loading it."""


def _command(root: Path, run: Path) -> list[str]:
    """A small run that learns without any fine-tuning: a random model's responses differ in length alone, so that is
    what it is paid for."""
    world = root / "world"
    overrides = {
        "klear.run_dir": run,
        "klear.groups.mode": "keep",
        "klear.groups.criterion": "reward",
        "klear.overlong.mode": "penalty",
        "klear.overlong.buffer_tokens": 30,
        "data.train_files": world / "math_train.parquet",
        "data.val_files": world / "math_held_out.parquet",
        "data.train_batch_size": 4,
        "data.max_response_length": 32,
        "actor_rollout_ref.model.path": world / "model",
        "actor_rollout_ref.actor.ppo_mini_batch_size": 2,
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": 8,
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu": 8,
        "actor_rollout_ref.actor.optim.lr_warmup_steps": 2,
        # A rate that falls to the last step would depend on which step that is.
        "actor_rollout_ref.actor.optim.lr_scheduler_type": "constant",
        "actor_rollout_ref.rollout.n": 4,
        "trainer.save_freq": 1,
        "trainer.max_actor_ckpt_to_keep": "null",
        "trainer.rollout_data_dir": root / "rollouts",
        "trainer.total_training_steps": UNINTERRUPTED[-1],
    }
    values = [f"{key}={value}" for key, value in overrides.items()]
    return [sys.executable, "-m", "klear_verl.cli", "train", "quickstart/math_rl", *values]


def test_a_run_killed_while_it_saves_goes_on_to_the_same_bits_as_one_that_was_not(tmp_path: Path) -> None:
    make_world(tmp_path / "world", 0)
    run, kept = tmp_path / "run", tmp_path / "kept"
    command = _command(tmp_path, run)

    # Killed while it saves the last step; the checkpoints of the steps before it are of an uninterrupted run.
    with Attempt(
        [*command, f"trainer.total_training_steps={UNINTERRUPTED[-1] + 1}"],
        tmp_path / "first",
        run,
        "checkpoint",
        after=UNINTERRUPTED[-1],
    ) as killed:
        wait_while_progressing(killed, until=lambda: (killed.folder / "reached").exists())
        outcome = killed.kill("klear train")
    assert (outcome.left, outcome.shared_memory) == ([], [])
    # On a busy machine the kill comes too late, and the step is complete; then it is one checkpoint more.
    if tracked_step(run) == UNINTERRUPTED[-1]:
        assert list(run.glob("checkpoints/.incomplete/*/actor/model_*.pt"))  # half-written
    else:
        assert tracked_step(run) == UNINTERRUPTED[-1] + 1
    kept.mkdir()
    for step in UNINTERRUPTED:
        (run / "checkpoints" / f"global_step_{step}").rename(kept / str(step))
    (run / TRACKER).write_text("1")
    (tmp_path / "rollouts").rename(kept / "rollouts")

    with Attempt(command, tmp_path / "second", run) as going_on:
        wait_for_success(going_on)
        assert "training from step 2 to 3" in going_on.output
    for step in UNINTERRUPTED:
        assert differences(run / "checkpoints" / f"global_step_{step}", kept / str(step)) == []
        assert rollouts(tmp_path / "rollouts", step) == rollouts(kept / "rollouts", step)
    steps = [json.loads(line)["data"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(step["actor/grad_norm"] > 0 for step in steps)  # there was something to be equal about
    assert not (run / "checkpoints" / ".incomplete").exists()
