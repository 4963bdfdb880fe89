# SPDX-License-Identifier: Apache-2.0
"""`klear train` and `klear sft` up to the start of a run: exit statuses and messages. No run is started here."""

import json
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from klear_verl.launch import launcher as launch_module
from klear_verl.launch.launcher import launch
from klear_verl.launch.run_dir import RunDir, RunRecord
from klear_verl.launch.supervise import RunFailed
from tests.launch.preflight_samples import write_model


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch, tmp_path):
    """A working directory of the test's own, and a supervisor that only notes what it was asked to run."""
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(launch_module, "supervise", lambda command, run_dir, line: asked.append(command))
    return asked


@pytest.fixture
def unchecked(monkeypatch):
    """Leaves out the checks of model, data and machine, which have tests of their own."""
    monkeypatch.setattr(launch_module, "check_rl_config", lambda config: None)
    monkeypatch.setattr(launch_module, "check_sft_config", lambda config: None)


def saved(path):
    return json.loads((path / "run.json").read_text())


def test_no_recipe_shows_usage_and_recipes_and_is_refused(capsys):
    assert launch("rl", [], "usage: klear train") == 2
    shown = capsys.readouterr().out
    assert shown.startswith("usage: klear train")
    assert "quickstart/code_rl" in shown


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_succeeds(flag, capsys):
    assert launch("sft", [flag], "usage: klear sft") == 0
    assert "recipes: " in capsys.readouterr().out


def test_an_unknown_recipe_is_refused_with_the_nearest_name(capsys, nothing_starts):
    assert launch("rl", ["quickstart/mathrl"], "") == 2
    error = capsys.readouterr().err
    assert error.startswith("klear: unknown recipe 'quickstart/mathrl'")
    assert "did you mean 'quickstart/math_rl'?" in error
    assert not nothing_starts


def test_an_unknown_key_is_refused_with_the_nearest_key(capsys, nothing_starts):
    assert launch("rl", ["rl", "trainer.total_training_step=3"], "") == 2
    error = capsys.readouterr().err
    assert "'trainer.total_training_step'" in error
    assert "'trainer.total_training_steps'" in error
    assert not nothing_starts


def test_a_mistyped_key_of_ours_is_refused_with_the_nearest_key(capsys, tmp_path):
    model = write_model(tmp_path / "model")
    arguments = ["rl", f"actor_rollout_ref.model.path={model}", "+klear.poll_intervall_s=1", "klear.run_dir=r"]
    assert launch("rl", arguments, "") == 2
    assert "klear.poll_intervall_s: unknown key; did you mean 'poll_interval_s'?" in capsys.readouterr().err


def test_a_missing_model_is_named_and_nothing_is_written(capsys, tmp_path, nothing_starts):
    assert launch("sft", ["sft", "model.path=/no/such/model", "klear.run_dir=r"], "") == 2
    assert "/no/such/model" in capsys.readouterr().err
    assert not nothing_starts
    assert not (tmp_path / "r").exists()


def test_cfg_prints_the_composed_configuration_and_starts_nothing(capsys, tmp_path, nothing_starts):
    assert launch("rl", ["rl", "--cfg", "data.train_batch_size=3"], "") == 0
    printed = OmegaConf.create(capsys.readouterr().out)
    assert printed.data.train_batch_size == 3
    assert not nothing_starts
    assert not list(tmp_path.iterdir())


def finished_run(path, steps):
    config = OmegaConf.create({})
    run = RunDir(path)
    run.start(RunRecord(kind="rl", recipe="quickstart/math_rl", seed=0), config)
    run.finish("finished", steps)


def test_a_finished_run_is_not_run_again_and_says_so(capsys, tmp_path, nothing_starts):
    finished_run(tmp_path / "r", 15)
    assert launch("rl", ["quickstart/math_rl", "klear.run_dir=r"], "") == 0
    assert "is finished already (15 steps)" in capsys.readouterr().err
    assert not nothing_starts


def test_a_finished_run_asked_for_more_steps_goes_on(tmp_path, nothing_starts, unchecked):
    overrides = ["quickstart/math_rl", "klear.run_dir=r"]
    assert launch("rl", overrides, "") == 0
    RunDir(tmp_path / "r")
    assert launch("rl", [*overrides, "trainer.total_training_steps=30"], "") == 0
    assert len(nothing_starts) == 2


def checkpoint(folder, step):
    """A checkpoint of this name, with weights, that the tracker names."""
    copy = folder / f"global_step_{step}" / "actor" / "huggingface"
    copy.mkdir(parents=True)
    (copy / "config.json").write_text("{}")
    (copy / "model.safetensors").write_bytes(b"w")
    (folder / "latest_checkpointed_iteration.txt").write_text(str(step))


def test_a_finished_run_that_was_set_back_goes_on(monkeypatch, tmp_path, nothing_starts, unchecked):
    def supervise(command, run_dir, line):
        nothing_starts.append(command)
        line.done = 15

    monkeypatch.setattr(launch_module, "supervise", supervise)
    command = ["quickstart/math_rl", "klear.run_dir=r"]
    assert launch("rl", command, "") == 0
    for step in (10, 15):
        checkpoint(tmp_path / "r" / "checkpoints", step)
    assert launch("rl", command, "") == 0
    assert len(nothing_starts) == 1
    (tmp_path / "r" / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("10")
    assert launch("rl", command, "") == 0
    assert len(nothing_starts) == 2


def test_a_finished_run_links_its_model_where_its_checkpoints_are(tmp_path, unchecked):
    checkpoint(tmp_path / "big", 15)
    assert launch("rl", ["quickstart/math_rl", "klear.run_dir=r", "trainer.default_local_dir=big"], "") == 0
    assert OmegaConf.load(tmp_path / "r" / "config.yaml").trainer.default_local_dir == str(tmp_path / "big")
    assert (tmp_path / "r" / "model").readlink() == tmp_path / "big" / "global_step_15" / "actor" / "huggingface"


def test_another_configuration_in_the_same_folder_is_refused(tmp_path, capsys, nothing_starts, unchecked):
    overrides = ["quickstart/math_rl", "klear.run_dir=r"]
    assert launch("rl", overrides, "") == 0
    (tmp_path / "r" / "checkpoints" / "global_step_1").mkdir(parents=True)
    assert launch("rl", [*overrides, "data.train_batch_size=8"], "") == 2
    assert "data.train_batch_size was 16 and is now 8" in capsys.readouterr().err
    assert len(nothing_starts) == 1


def test_an_rl_run_is_driven_by_one_process_given_the_folder(tmp_path, nothing_starts, unchecked):
    launch("rl", ["quickstart/math_rl", "klear.run_dir=r"], "")
    assert nothing_starts == [[sys.executable, "-m", "klear_verl.launch.rl_driver", str(tmp_path / "r")]]


def test_an_sft_run_has_one_process_per_device(tmp_path, nothing_starts, unchecked):
    launch("sft", ["quickstart/sft", "klear.run_dir=r", "trainer.n_gpus_per_node=2"], "")
    (command,) = nothing_starts
    assert command[:5] == [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    assert command[-2:] == ["klear_verl.launch.sft_worker", str(tmp_path / "r")]


def test_an_sft_run_on_several_nodes_leaves_the_rendezvous_to_the_cluster(nothing_starts, unchecked):
    launch("sft", ["quickstart/sft", "klear.run_dir=r", "trainer.nnodes=4"], "")
    assert "--nnodes=4" in nothing_starts[0]
    assert "--standalone" not in nothing_starts[0]


@pytest.mark.parametrize(
    ("error", "status", "code", "said"),
    [
        (None, "finished", 0, "finished: 0 steps"),
        (KeyboardInterrupt(), "interrupted", 130, "the same command continues"),
        (
            RunFailed("the run failed: ValueError: x", "see the log"),
            "failed",
            1,
            "klear: the run failed: ValueError: x",
        ),
    ],
)
def test_how_a_run_ends_is_its_exit_status_and_its_record(
    monkeypatch, capsys, tmp_path, unchecked, error, status, code, said
):
    def supervise(command, run_dir, line):
        line.stream = sys.stderr
        if error:
            raise error

    monkeypatch.setattr(launch_module, "supervise", supervise)
    assert launch("rl", ["quickstart/math_rl", "klear.run_dir=r"], "") == code
    assert saved(tmp_path / "r")["status"] == status
    assert said in capsys.readouterr().err


def test_without_a_folder_a_run_gets_one_of_its_own_under_runs(tmp_path, unchecked):
    assert launch("rl", ["rl", "actor_rollout_ref.model.path=x"], "") == 0
    (made,) = (tmp_path / "runs").iterdir()
    assert made.name.startswith("rl-")
    assert OmegaConf.load(made / "config.yaml").trainer.default_local_dir == str(made / "checkpoints")


@pytest.mark.parametrize(("kind", "override", "seed"), [("rl", "data.seed=5", 5), ("sft", "trainer.seed=6", 6)])
def test_the_record_names_recipe_kind_and_seed(tmp_path, unchecked, kind, override, seed):
    recipe = {"rl": "quickstart/math_rl", "sft": "quickstart/sft"}[kind]
    launch(kind, [recipe, "klear.run_dir=r", override], "")
    record = saved(tmp_path / "r")
    assert (record["kind"], record["recipe"], record["seed"]) == (kind, recipe, seed)


def test_the_command_itself_refuses_with_status_2_and_one_message(tmp_path):
    command = [sys.executable, "-m", "klear_verl.cli", "train", "quickstart/mathrl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("klear: unknown recipe")
    assert "Traceback" not in done.stderr
