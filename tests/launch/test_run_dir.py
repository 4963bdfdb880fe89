# SPDX-License-Identifier: Apache-2.0
"""A run's folder over one and several attempts."""

import json
import subprocess
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from klear_verl.errors import ConfigError, DataError, EnvironmentProblem
from klear_verl.launch.run_dir import RunDir, RunRecord, run_versions


def config(**changes):
    values = {
        "klear": {"run_dir": "r", "groups": {"mode": "drop"}, "overlong": {"mode": "mask"}},
        "data": {"seed": 0, "train_files": ["a.parquet"]},
        "actor": {"lr": 1.0e-6, "seed": "${data.seed}"},
        "trainer": {"total_training_steps": 10, "save_freq": 5, "logger": ["console"], "nnodes": 1},
        "ray_kwargs": {"ray_init": {"num_cpus": 2}},
    }
    made = OmegaConf.create(values)
    for key, value in changes.items():
        OmegaConf.update(made, key.replace("__", "."), value)
    return made


def record(**fields):
    return RunRecord(kind="rl", recipe="quickstart/math_rl", seed=0, **fields)


def attempt(path, status="failed", steps=0, **changes):
    run = RunDir(path)
    run.start(record(), config(**changes))
    return run.finish(status, steps)


def saved(path):
    return json.loads((path / "run.json").read_text())


def checkpoint(path, step, *, inside="actor", weights=True):
    folder = path / "checkpoints" / f"global_step_{step}" / inside / "huggingface"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    if weights:
        (folder / "model.safetensors").write_bytes(b"w")
    return folder


def test_a_new_folder_holds_no_previous_run(tmp_path):
    assert RunDir(tmp_path / "none").previous() is None


def test_a_started_run_is_on_disk_as_running_with_its_resolved_configuration(tmp_path):
    RunDir(tmp_path).start(record(), config())
    assert saved(tmp_path)["status"] == "running"
    assert OmegaConf.load(tmp_path / "config.yaml").actor.seed == 0


def test_the_record_reads_back_as_it_was_written(tmp_path):
    written = attempt(tmp_path, "finished", 10)
    assert RunDir(tmp_path).previous() == written


def test_a_damaged_record_is_named_with_a_remedy(tmp_path):
    for text in ("{", '{"no": 1}', "[]"):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(DataError, match=r"run\.json is not a run record") as caught:
            RunDir(tmp_path).previous()
        assert caught.value.remedy


def test_wall_time_adds_up_over_attempts(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr("klear_verl.launch.run_dir.time.monotonic", lambda: now)
    for seconds, total in ((7.0, 7.0), (5.5, 12.5), (1.0, 13.5)):
        run = RunDir(tmp_path)
        run.start(record(), config())
        now += seconds
        assert run.finish("interrupted", 1).wall_s == total


def test_steps_done_survive_an_attempt_that_dies_before_its_first(tmp_path):
    attempt(tmp_path, "interrupted", 7)
    assert attempt(tmp_path, "failed", 0).steps == 7


def test_metrics_of_earlier_attempts_are_kept_in_order(tmp_path):
    for text in ("first", "second", "third"):
        attempt(tmp_path)
        (tmp_path / "metrics.jsonl").write_text(text)
    attempt(tmp_path)
    kept = {path.name: path.read_text() for path in tmp_path.glob("metrics*")}
    assert kept == {"metrics.1.jsonl": "first", "metrics.2.jsonl": "second", "metrics.3.jsonl": "third"}


def test_an_earlier_attempts_error_is_gone_when_the_next_starts(tmp_path):
    attempt(tmp_path)
    (tmp_path / "error.txt").write_text("ValueError: old")
    attempt(tmp_path)
    assert not (tmp_path / "error.txt").exists()


def with_checkpoint(path, *args, **keys):
    """An attempt that left a checkpoint: what binds a later one to its configuration."""
    attempt(path, *args, **keys)
    (path / "checkpoints" / "global_step_1").mkdir(parents=True)


def test_another_configuration_is_refused_naming_key_and_both_values(tmp_path):
    with_checkpoint(tmp_path)
    with pytest.raises(ConfigError) as caught:
        attempt(tmp_path, actor__lr=3.0e-4)
    assert "actor.lr was 1e-06 and is now 0.0003" in caught.value.what
    assert str(tmp_path) in caught.value.what
    assert "klear.run_dir" in caught.value.remedy


def test_checkpoints_outside_the_runs_folder_bind_it_too(tmp_path):
    outside = str(tmp_path / "big" / "checkpoints")
    attempt(tmp_path / "r", trainer__default_local_dir=outside)
    attempt(tmp_path / "r", trainer__default_local_dir=outside, actor__lr=1.0e-5)  # nothing to continue yet
    (tmp_path / "big" / "checkpoints" / "global_step_1").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"actor\.lr was 1e-05 and is now 0\.0003"):
        attempt(tmp_path / "r", trainer__default_local_dir=outside, actor__lr=3.0e-4)


def test_another_checkpoint_folder_is_refused_for_the_run_would_begin_anew(tmp_path):
    with_checkpoint(tmp_path, trainer__default_local_dir=str(tmp_path / "checkpoints"))
    with pytest.raises(ConfigError, match=r"trainer\.default_local_dir was .* and is now"):
        attempt(tmp_path, trainer__default_local_dir=str(tmp_path / "empty"))


def test_a_checkpoint_folder_is_the_same_however_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with_checkpoint(tmp_path, trainer__default_local_dir="checkpoints")
    attempt(tmp_path, trainer__default_local_dir=str(tmp_path / "checkpoints"))


def test_a_users_copy_of_a_checkpoint_is_none(tmp_path):
    attempt(tmp_path)
    (tmp_path / "checkpoints" / "global_step_1_best").mkdir(parents=True)
    attempt(tmp_path, actor__lr=3.0e-4)


def test_a_run_that_left_no_checkpoint_may_be_repaired_in_its_folder(tmp_path):
    attempt(tmp_path)
    attempt(tmp_path, actor__lr=3.0e-4)
    assert OmegaConf.load(tmp_path / "config.yaml").actor.lr == 3.0e-4


def test_a_second_process_in_a_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("klear_verl.launch.run_dir.LOCK_PATIENCE_S", 0.3)
    first = RunDir(tmp_path)
    first.start(record(), config())
    with pytest.raises(EnvironmentProblem, match="another process is at work"):
        RunDir(tmp_path).start(record(), config())


def test_a_process_that_shares_the_lock_holds_it_beyond_the_end_of_the_first(tmp_path):
    first = RunDir(tmp_path)
    first.start(record(), config())
    sharing = subprocess.Popen(["sleep", "300"], pass_fds=first.lock_descriptors)
    first.finish("interrupted", 0)
    threading.Timer(0.5, sharing.kill).start()
    began = time.monotonic()
    RunDir(tmp_path).start(record(), config())  # waits, and is not refused
    assert time.monotonic() - began > 0.4
    sharing.wait()


def test_further_changed_keys_are_counted(tmp_path):
    with_checkpoint(tmp_path)
    with pytest.raises(ConfigError, match="and 2 more keys"):
        attempt(tmp_path, actor__lr=3.0e-4, actor__new="x", trainer__nnodes=2)


def test_a_key_that_disappeared_is_a_change(tmp_path):
    with_checkpoint(tmp_path, actor__extra=1)
    with pytest.raises(ConfigError, match=r"actor\.extra was 1 and is now None"):
        attempt(tmp_path)


def test_a_refused_configuration_leaves_the_folder_untouched(tmp_path):
    with_checkpoint(tmp_path, "interrupted", 3)
    (tmp_path / "metrics.jsonl").write_text("steps")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(ConfigError):
        attempt(tmp_path, data__seed=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trainer__total_training_steps", 20),
        ("trainer__save_freq", 1),
        ("trainer__max_actor_ckpt_to_keep", 1),
        ("trainer__max_critic_ckpt_to_keep", 1),
        ("trainer__max_ckpt_to_keep", 1),
        ("trainer__logger", ["console", "file"]),
        ("ray_kwargs__ray_init__num_cpus", 8),
        ("klear__poll_interval_s", 1.0),
    ],
)
def test_how_long_and_where_a_run_goes_on_and_what_it_keeps_may_change(tmp_path, key, value):
    with_checkpoint(tmp_path)
    attempt(tmp_path, **{key: value})
    assert OmegaConf.select(OmegaConf.load(tmp_path / "config.yaml"), key.replace("__", ".")) == value


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("klear__groups__mode", "keep", r"klear\.groups\.mode was 'drop' and is now 'keep'"),
        ("klear__overlong__mode", "keep", r"klear\.overlong\.mode was 'mask' and is now 'keep'"),
    ],
)
def test_which_rollouts_train_may_not_change(tmp_path, key, value, said):
    with_checkpoint(tmp_path)
    with pytest.raises(ConfigError, match=said):
        attempt(tmp_path, **{key: value})


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6)


@given(tree=st.dictionaries(st.sampled_from("abc"), TREES))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_configuration_is_always_accepted_again(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("run")
    for _ in range(2):
        RunDir(path).start(record(), OmegaConf.create(tree))


def test_the_model_link_points_at_the_newest_checkpoint_by_number(tmp_path):
    for step in (9, 10, 2):
        checkpoint(tmp_path, step)
    RunDir(tmp_path).link_model()
    assert (tmp_path / "model").resolve() == (tmp_path / "checkpoints/global_step_10/actor/huggingface").resolve()


def test_the_model_link_passes_over_a_checkpoint_without_weights(tmp_path):
    complete = checkpoint(tmp_path, 5)
    checkpoint(tmp_path, 10, weights=False)
    RunDir(tmp_path).link_model()
    assert (tmp_path / "model").resolve() == complete.resolve()


def set_back(path, step):
    (path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text(str(step))


@pytest.mark.parametrize(("tracked", "linked"), [("5", 5), ("10", 10), ("7", 10), ("", 10)])
def test_the_model_link_points_at_what_the_tracker_names_or_else_at_the_newest(tmp_path, tracked, linked):
    for step in (5, 10):
        checkpoint(tmp_path, step)
    RunDir(tmp_path).link_model()
    set_back(tmp_path, tracked)
    RunDir(tmp_path).link_model()
    assert (tmp_path / "model").resolve().parent.parent.name == f"global_step_{linked}"


def test_without_weights_in_the_tracked_checkpoint_the_link_points_at_an_earlier_one_never_at_a_later(tmp_path):
    for step, weights in ((3, True), (5, True), (6, False), (10, True)):
        checkpoint(tmp_path, step, weights=weights)
    set_back(tmp_path, 6)
    RunDir(tmp_path).link_model()
    assert (tmp_path / "model").resolve().parent.parent.name == "global_step_5"


def test_the_model_link_passes_over_a_users_copy(tmp_path):
    checkpoint(tmp_path, 5)
    (tmp_path / "checkpoints" / "global_step_5").rename(tmp_path / "checkpoints" / "global_step_5_best")
    complete = checkpoint(tmp_path, 3)
    RunDir(tmp_path).link_model()
    assert (tmp_path / "model").resolve() == complete.resolve()


def test_the_model_link_is_the_actors_where_there_is_a_critic(tmp_path):
    actor = checkpoint(tmp_path, 5)
    checkpoint(tmp_path, 5, inside="critic")
    RunDir(tmp_path).link_model()
    assert (tmp_path / "model").resolve() == actor.resolve()


def test_the_model_link_finds_checkpoints_outside_the_runs_folder(tmp_path):
    attempt(tmp_path / "r", trainer__default_local_dir=str(tmp_path / "big" / "checkpoints"))
    folder = checkpoint(tmp_path / "big", 5)
    RunDir(tmp_path / "r").link_model()
    assert (tmp_path / "r" / "model").readlink() == folder


@pytest.mark.parametrize(
    ("status", "steps", "tracked", "save_freq", "made"),
    [
        ("finished", 10, None, 5, True),
        ("finished", 10, 10, 5, True),
        ("finished", 12, 12, 5, True),
        ("finished", 10, 5, 5, False),  # set back by hand
        ("finished", 10, 5, -1, True),  # which saves nothing at the end: the checkpoint is of an earlier attempt
        ("finished", 8, None, 5, False),
        ("interrupted", 10, 10, 5, False),
    ],
)
def test_a_run_has_made_all_its_steps_if_it_finished_and_was_not_set_back(
    tmp_path, status, steps, tracked, save_freq, made
):
    attempt(tmp_path, status, steps, trainer__save_freq=save_freq)
    if tracked:
        checkpoint(tmp_path, tracked)
        set_back(tmp_path, tracked)
    assert RunDir(tmp_path).made_all(10) is made
    assert not RunDir(tmp_path).made_all(None)


def test_the_model_link_finds_sft_checkpoints_which_lie_one_level_higher(tmp_path):
    folder = checkpoint(tmp_path, 5, inside=".")
    RunDir(tmp_path).link_model()
    assert (tmp_path / "model").resolve() == folder.resolve()


def test_the_model_link_moves_on_and_survives_moving_the_folder(tmp_path):
    run = tmp_path / "run"
    checkpoint(run, 5)
    RunDir(run).link_model()
    checkpoint(run, 10)
    RunDir(run).link_model()
    run.rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "model").resolve().parent.parent.name == "global_step_10"


def test_without_any_hugging_face_copy_there_is_no_link(tmp_path):
    checkpoint(tmp_path, 5, weights=False)
    RunDir(tmp_path).link_model()
    assert not (tmp_path / "model").is_symlink()


def test_versions_are_those_installed():
    import torch

    assert run_versions()["torch"] == torch.__version__
    assert "verl" in run_versions()
