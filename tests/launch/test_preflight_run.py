# SPDX-License-Identifier: Apache-2.0
"""The whole preflight on composed recipes: a sound configuration passes, several faults are all told."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError, KlearError
from klear_verl.launch.compose import compose
from klear_verl.launch.preflight import batches, machine, run
from klear_verl.launch.preflight.run import check_rl_config, check_sft_config, rl_problems, sft_problems
from klear_verl.launch.preflight.view import RLView, view_of
from tests.launch.preflight_samples import CODE_ROW, MATH_ROW, SFT_ROW, rl_view, write_jsonl, write_model, write_parquet


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without Ray, with memory enough: what is tested here is the configuration."""
    monkeypatch.setattr(machine, "available_memory_bytes", lambda: 64 * machine.GIB)
    monkeypatch.setenv("RAY_ADDRESS", "local")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("MASTER_PORT", raising=False)


def rl(tmp_path: Path, *overrides: str) -> DictConfig:
    model = write_model(tmp_path / "model")
    rows = write_jsonl(tmp_path / "rows.jsonl", [MATH_ROW, CODE_ROW] * 8)
    sound = [
        "platform/rl=cpu",
        f"actor_rollout_ref.model.path={model}",
        f"data.train_files={rows}",
        f"data.val_files={rows}",
        "data.max_prompt_length=64",
        "data.max_response_length=64",
        "data.train_batch_size=16",
        "actor_rollout_ref.actor.ppo_mini_batch_size=8",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=8",
        f"klear.run_dir={tmp_path / 'run'}",
    ]
    return compose("rl", [*sound, *overrides], kind="rl")


def test_sound_rl_configuration_passes(tmp_path: Path) -> None:
    assert rl_problems(rl(tmp_path)) == ([], [])


def test_sound_sft_configuration_passes(tmp_path: Path) -> None:
    rows = write_parquet(tmp_path / "rows.parquet", [SFT_ROW] * 8)
    model = write_model(tmp_path / "model")
    overrides = ["platform/sft=cpu", f"model.path={model}", f"data.train_files={rows}", "data.train_batch_size=8"]
    check_sft_config(compose("sft", [*overrides, f"klear.run_dir={tmp_path / 'run'}"], kind="sft"))


def test_stock_names_are_registered_and_need_no_look_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registries = run._registries()
    for key, stock in run.STOCK.items():
        assert stock <= set(registries[key])
    monkeypatch.setattr(run, "_registries", dict)  # an empty dict: any look-up would be a KeyError
    resolved = OmegaConf.create(OmegaConf.to_container(rl(tmp_path), resolve=True))
    run.check_registered_names(view_of(RLView, resolved))


def test_verls_padding_samples_have_the_length_we_take_them_to_have() -> None:
    from verl.trainer.ppo.padding_utils import SYNTHETIC_PADDING_SEQ_LEN

    assert batches.PADDING_TOKENS == SYNTHETIC_PADDING_SEQ_LEN


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("actor_rollout_ref.model.path=/no/model", "/no/model does not exist"),
        ("actor_rollout_ref.rollout.n=1", "rollout.n=1"),
        ("actor_rollout_ref.actor.policy_loss.loss_mode=gppoo", "did you mean 'gppo'?"),
        ("algorithm.adv_estimator=gpro", "did you mean 'grpo'?"),
        ("trainer.v1.trainer_mode=klear_snyc", "did you mean 'klear_sync'?"),
        ("reward.reward_manager.name=kler", "did you mean 'klear'?"),
        ("+reward.reward_kwargs.klear.thnik=off", "did you mean 'think'?"),
        ("+klear.poll_intervl_s=1", "did you mean 'poll_interval_s'?"),
        ("data.train_files=/no/rows.jsonl", "/no/rows.jsonl does not exist"),
        ("data.train_batch_size=24", "16 usable rows"),
        ("data.train_batch_size=many", "data.train_batch_size='many' is not a positive whole number"),
        ("actor_rollout_ref.rollout.n=0", "actor_rollout_ref.rollout.n=0 is not a positive whole number"),
        ("trainer.n_gpus_per_node=null", "trainer.n_gpus_per_node=None is not a positive whole number"),
        ("klear.groups.generate=32", "16 usable rows, klear.groups.generate=32"),
        ("klear.groups.generate=8", "klear.groups.generate=8 prompts a step can never fill data.train_batch_size=16"),
        ("actor_rollout_ref.rollout.max_num_batched_tokens=8", "is less than actor_rollout_ref.rollout.max_num_seqs"),
        ("actor_rollout_ref.actor.checkpoint.async_save=true", "checkpoint.async_save=True cannot be used"),
        ("trainer.nnodes=2", "there is no Ray cluster here to join"),
        ("data.max_response_length=5000", "max_position_embeddings"),
        ("data.max_prompt_length=${data.no_such}", "data.no_such"),
        ("trainer.default_local_dir=/dev/null/x", "/dev/null is a file"),
    ],
)
def test_fault_is_told_with_a_remedy(tmp_path: Path, override: str, said: str) -> None:
    problems, _ = rl_problems(rl(tmp_path, override))
    assert said in "\n".join(str(problem) for problem in problems)
    assert all(problem.remedy for problem in problems)


def test_heads_that_cannot_be_divided_are_told(tmp_path: Path) -> None:
    cfg = rl(tmp_path, "actor_rollout_ref.rollout.tensor_model_parallel_size=2", "trainer.n_gpus_per_node=2")
    write_model(tmp_path / "model", num_attention_heads=3)
    with pytest.raises(ConfigError, match="tensor_model_parallel_size=2 does not divide the 3 attention heads"):
        check_rl_config(cfg)


def test_long_prompts_are_an_error_unless_filtered(tmp_path: Path) -> None:
    with pytest.raises(KlearError, match="prompts exceed"):
        check_rl_config(rl(tmp_path, "data.max_prompt_length=20", "data.filter_overlong_prompts=False"))


def test_too_little_memory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_memory_bytes", lambda: 2 * machine.GIB)
    with pytest.raises(KlearError, match=r"2\.0 GiB are available"):
        check_rl_config(rl(tmp_path))


def test_port_in_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("MASTER_PORT", str(taken.getsockname()[1]))
        with pytest.raises(KlearError, match=r"MASTER_PORT=.* the port is in use"):
            check_sft_config(compose("sft", ["platform/sft=cpu"], kind="sft"))


def test_several_faults_are_all_told_at_once(tmp_path: Path) -> None:
    cfg = rl(tmp_path, "actor_rollout_ref.rollout.n=1", "data.train_files=/no/rows.jsonl", "+klear.x=1")
    with pytest.raises(ConfigError) as caught:
        check_rl_config(cfg)
    message = str(caught.value)
    assert message.startswith("3 problems")
    assert all(said in message for said in ("1. klear.x", "2. actor_rollout_ref.rollout.n=1", "3. data.train_files"))


def test_all_values_of_a_wrong_type_are_named_at_once(tmp_path: Path) -> None:
    wrong = ["data.train_batch_size=many", "trainer.nnodes=0", "data.filter_overlong_prompts=perhaps"]
    (problem,), _ = rl_problems(rl(tmp_path, *wrong))
    assert isinstance(problem, ConfigError)
    assert all(said in problem.what for said in ("data.train_batch_size='many'", "trainer.nnodes=0", "'perhaps'"))


def test_the_configuration_is_left_as_it_was(tmp_path: Path) -> None:
    cfg = rl(tmp_path)
    before = cfg.copy()
    rl_problems(cfg)
    assert cfg == before


KEEP = "trainer.max_actor_ckpt_to_keep"
PARAMETERS = 1000
CHECKPOINT_BYTES = 4 * PARAMETERS * machine.CHECKPOINT_COPIES


def disk_problems(folder: Path, keep: int | None, free: int, monkeypatch: pytest.MonkeyPatch) -> list[KlearError]:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    found = run._Findings()
    trainer = rl_view({"trainer.default_local_dir": str(folder), KEEP: keep}).trainer
    run._checkpoints(found, trainer, PARAMETERS, "max_actor_ckpt_to_keep")
    return found.problems


@pytest.mark.parametrize(
    ("keep", "saved", "needed"),
    [
        (2, [], 3),
        (2, ["global_step_5"], 2),
        (2, ["global_step_5", "global_step_10"], 1),
        (2, ["global_step_5", "global_step_10", "global_step_15"], 1),
        (2, ["global_step_5", "global_step_5_best"], 2),
        (None, [], 2),
        (None, ["global_step_5"], 1),
        (None, ["global_step_5", "global_step_10"], 1),
    ],
)
def test_disk_must_have_room_for_the_checkpoints_that_are_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int | None, saved: list[str], needed: int
) -> None:
    for name in saved:
        (tmp_path / name).mkdir()
    assert disk_problems(tmp_path, keep, needed * CHECKPOINT_BYTES, monkeypatch) == []
    (problem,) = disk_problems(tmp_path, keep, needed * CHECKPOINT_BYTES - 1, monkeypatch)
    assert KEEP in problem.remedy


def test_what_a_killed_attempt_left_half_written_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = tmp_path / ".incomplete" / "global_step_5" / "actor"
    half.mkdir(parents=True)
    (half / "model.pt").write_bytes(bytes(100))
    assert disk_problems(tmp_path, 2, 3 * CHECKPOINT_BYTES - 100, monkeypatch) == []
    assert disk_problems(tmp_path, 2, 3 * CHECKPOINT_BYTES - 101, monkeypatch)


def test_a_full_disk_is_told_with_the_kinds_own_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.machine, "check_disk", lambda *arguments: keys.append(arguments[3]))
    keys: list[str] = []
    rl_problems(rl(tmp_path))
    sft_problems(compose("sft", ["platform/sft=cpu", f"klear.run_dir={tmp_path / 'run'}"], kind="sft"))
    assert keys == [KEEP, "trainer.max_ckpt_to_keep"]
