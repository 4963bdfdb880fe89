# SPDX-License-Identifier: Apache-2.0
"""Checkpoints are complete or absent, whatever moment a kill chooses."""

import json
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from klear_verl.errors import EnvironmentProblem
from klear_verl.trainer import checkpoints

FILES = ("model", "optim", "extra_state")


class Killed(BaseException):
    """Stands for a kill at this point."""


def trainer(folder, step, keep=None, ranks=2):
    config = {
        "trainer": {
            "default_local_dir": str(folder),
            "max_actor_ckpt_to_keep": keep,
            "max_critic_ckpt_to_keep": keep,
            "nnodes": 1,
            "n_gpus_per_node": ranks,
        },
        "actor_rollout_ref": {
            "actor": {"strategy": "fsdp", "checkpoint": {"save_contents": ["model", "optimizer", "extra"]}}
        },
    }
    told = []
    callback = SimpleNamespace(on_save=lambda **event: told.append(event["checkpoint_dir"]))
    return SimpleNamespace(config=OmegaConf.create(config), global_steps=step, checkpoint_callback=callback, told=told)


def write(made, ranks=2, killed=False):
    """As verl's `_save_checkpoint` does: into `default_local_dir`, the tracker last."""
    from pathlib import Path

    folder = Path(made.config.trainer.default_local_dir)
    actor = folder / f"global_step_{made.global_steps}" / "actor"
    actor.mkdir(parents=True)
    for rank in range(ranks):
        for name in FILES:
            (actor / f"{name}_world_size_2_rank_{rank}.pt").write_text(f"step {made.global_steps}")
    if killed:
        raise Killed
    (folder / checkpoints.TRACKER).write_text(str(made.global_steps))
    made.checkpoint_callback.on_save(
        trainer=made, global_step=made.global_steps, checkpoint_dir=str(actor.parent), async_save=False
    )


def saved(folder, step, **options):
    made = trainer(folder, step, **options)
    checkpoints.save(made, lambda: write(made))
    return made


def state(folder):
    tracker = folder / checkpoints.TRACKER
    return checkpoints.saved_steps(folder), tracker.read_text() if tracker.exists() else None


def test_a_saved_checkpoint_is_in_its_place_and_the_tracker_names_it(tmp_path):
    made = saved(tmp_path, 5)
    assert state(tmp_path) == ([5], "5")
    assert made.told == [str(tmp_path / "global_step_5")]
    assert made.config.trainer.default_local_dir == str(tmp_path)


def test_a_kill_while_writing_leaves_the_earlier_checkpoint_as_it_was(tmp_path):
    saved(tmp_path, 5)
    made = trainer(tmp_path, 10)
    with pytest.raises(Killed):
        checkpoints.save(made, lambda: write(made, killed=True))
    assert state(tmp_path) == ([5], "5")
    checkpoints.clear_incomplete(made.config)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["global_step_5", checkpoints.TRACKER]


def test_a_kill_between_the_rename_and_the_tracker_is_made_good_when_the_step_is_saved_again(tmp_path):
    saved(tmp_path, 5)
    saved(tmp_path, 10)
    (tmp_path / checkpoints.TRACKER).write_text("5")
    saved(tmp_path, 10)
    assert state(tmp_path) == ([5, 10], "10")


def test_only_the_newest_are_kept_and_never_fewer_than_asked_for(tmp_path):
    for step in (5, 10, 15):
        saved(tmp_path, step, keep=2)
    assert state(tmp_path) == ([10, 15], "15")


def test_a_run_that_was_set_back_keeps_what_it_has_just_saved(tmp_path):
    for step in (5, 10, 15):
        saved(tmp_path, step)
    (tmp_path / checkpoints.TRACKER).write_text("5")
    saved(tmp_path, 6, keep=1)
    assert state(tmp_path) == ([6, 10, 15], "6")


@pytest.mark.parametrize("content", [None, "", "7", "x"], ids=["missing", "empty", "of no checkpoint", "no number"])
def test_a_tracker_that_names_no_checkpoint_names_the_newest_again(tmp_path, content):
    for step in (5, 10):
        made = saved(tmp_path, step)
    tracker = tmp_path / checkpoints.TRACKER
    tracker.unlink() if content is None else tracker.write_text(content)
    checkpoints.clear_incomplete(made.config)
    assert state(tmp_path) == ([5, 10], "10")
    assert not (tmp_path / checkpoints.INCOMPLETE).exists()


def test_a_tracker_that_was_set_back_by_hand_is_left_alone(tmp_path):
    for step in (5, 10):
        made = saved(tmp_path, step)
    (tmp_path / checkpoints.TRACKER).write_text("5")
    checkpoints.clear_incomplete(made.config)
    assert state(tmp_path) == ([5, 10], "5")


def test_a_tracker_without_any_checkpoint_goes(tmp_path):
    (tmp_path / checkpoints.TRACKER).write_text("5")
    checkpoints.clear_incomplete(trainer(tmp_path, 0).config)
    assert state(tmp_path) == ([], None)


def test_without_a_limit_all_are_kept(tmp_path):
    for step in (5, 10, 15):
        saved(tmp_path, step)
    assert state(tmp_path) == ([5, 10, 15], "15")


def test_a_checkpoint_that_lacks_a_ranks_files_is_not_committed(tmp_path):
    made = trainer(tmp_path, 5)
    with pytest.raises(EnvironmentProblem, match=r"lacks 3 files, the first is model_world_size_2_rank_1\.pt"):
        checkpoints.save(made, lambda: write(made, ranks=1))
    assert state(tmp_path) == ([], None)
    assert made.told == []


def test_a_users_copy_of_a_checkpoint_is_neither_counted_nor_touched(tmp_path):
    saved(tmp_path, 5)
    (tmp_path / "global_step_5").rename(tmp_path / "global_step_5_best")
    for step in (6, 7):
        saved(tmp_path, step, keep=1)
    assert state(tmp_path) == ([7], "7")
    assert (tmp_path / "global_step_5_best" / "actor").is_dir()


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("global_step_0", 0),
        ("global_step_120", 120),
        ("global_step_5_best", None),
        ("global_step_05", None),  # verl would look for it under "global_step_5"
        ("global_step_", None),
        ("old_global_step_5", None),
    ],
)
def test_only_verls_own_names_are_checkpoints(name, step):
    assert checkpoints.step_of(name) == step


def test_a_checkpoint_says_which_data_its_place_in_the_data_belongs_to(tmp_path):
    made = trainer(tmp_path, 5)
    made.data_identity = {"rows": 3, "sha256": "a"}
    checkpoints.save(made, lambda: write(made))
    assert json.loads((tmp_path / "global_step_5" / "data.json").read_text()) == {"rows": 3, "sha256": "a"}


def test_a_trainer_that_does_not_know_its_data_saves_without(tmp_path):
    saved(tmp_path, 5)
    assert not (tmp_path / "global_step_5" / "data.json").exists()


def test_what_is_half_written_has_a_size(tmp_path):
    assert checkpoints.incomplete_bytes(tmp_path) == 0
    saved(tmp_path, 5)
    with pytest.raises(Killed):
        made = trainer(tmp_path, 10)
        checkpoints.save(made, lambda: write(made, killed=True))
    assert checkpoints.incomplete_bytes(tmp_path) == 2 * len(FILES) * len("step 10")
