# SPDX-License-Identifier: Apache-2.0
"""The recipes at full size, their smaller sizes and their rehearsals: the paper's values, batch arithmetic, and which
keys differ."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from klear_verl.launch.compose import compose
from klear_verl.launch.preflight import batches
from klear_verl.launch.preflight.model import ModelFacts, check_rl_heads, check_sft_heads
from klear_verl.launch.preflight.view import RLView, SFTView, view_of
from klear_verl.launch.recipes import recipe_names, recipes_root
from klear_verl.trainer import compatibility
from klear_verl.trainer.config import KlearConfig
from tests.launch.full_size_models import QWEN3_1_7B, QWEN3_8B

TASKS = ("math", "code")
SIZES = ("", "_8gpu", "_1gpu")
DOCS = Path(__file__).parents[2] / "docs" / "recipes.md"


@pytest.fixture(autouse=True)
def on_a_gpu_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERL_PLATFORM", "nvidia")
    for name in ("KLEAR_MODEL", "KLEAR_DATA", "KLEAR_RUNS"):
        monkeypatch.delenv(name, raising=False)


@cache
def rl(name: str, *overrides: str) -> DictConfig:
    """A recipe as composed on a GPU machine; not to be changed."""
    return compose(name, overrides, kind="rl")


@cache
def leaves(name: str) -> dict[str, Any]:
    """Every key of a recipe with its value; interpolations as they are written."""
    return flat(OmegaConf.to_container(rl(name), resolve=False))


def resolved(cfg: DictConfig) -> DictConfig:
    """A configuration with its interpolations replaced."""
    return OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    return {key: leaf for name, child in value.items() for key, leaf in flat(child, f"{prefix}.{name}").items()}


def changed(one: str, other: str) -> set[str]:
    first, second = leaves(one), leaves(other)
    assert first.keys() == second.keys()
    return {key[1:] for key in first if first[key] != second[key]}


@pytest.mark.parametrize("task", TASKS)
def test_what_both_stages_share_has_the_papers_values(task: str) -> None:
    cfg = rl(f"{task}_rl")
    actor, rollout = cfg.actor_rollout_ref.actor, cfg.actor_rollout_ref.rollout
    assert (cfg.trainer.nnodes, cfg.trainer.n_gpus_per_node) == (32, 8)
    assert (cfg.data.train_batch_size, cfg.klear.groups.mode, cfg.klear.groups.generate) == (128, "drop", 256)
    assert (cfg.data.max_prompt_length, cfg.data.max_response_length) == (4096, 32768)
    assert (rollout.n, rollout.temperature, rollout.top_p, rollout.tensor_model_parallel_size) == (8, 1.0, 1.0, 2)
    assert (actor.clip_ratio_low, actor.clip_ratio_high, actor.loss_agg_mode) == (0.2, 0.28, "token-mean")
    assert (actor.policy_loss.loss_mode, actor.policy_loss.positive_lm_coef) == ("gppo", 0.1)
    assert (actor.use_kl_loss, cfg.algorithm.use_kl_in_reward, actor.entropy_coeff) == (False, False, 0.0)
    assert (actor.optim.lr_scheduler_type, actor.optim.lr_warmup_steps, actor.optim.weight_decay) == (
        "constant",
        10,
        0.1,
    )
    assert (actor.grad_clip, actor.optim.clip_grad, actor.ulysses_sequence_parallel_size) == (1.0, 1.0, 4)
    assert (actor.strategy, actor.use_dynamic_bsz, cfg.klear.overlong.mode) == ("fsdp", True, "mask")
    assert cfg.actor_rollout_ref.model.override_config.attn_implementation == "flash_attention_2"
    assert cfg.actor_rollout_ref.model.enable_gradient_checkpointing


def test_the_stages_differ_in_data_mini_batch_and_learning_rate() -> None:
    actor = "actor_rollout_ref.actor"
    assert changed("math_rl", "code_rl") == {
        "klear.run_dir",
        "data.train_files",
        "data.val_files",
        f"{actor}.ppo_mini_batch_size",
        f"{actor}.optim.lr",
    }
    values = [(cfg.ppo_mini_batch_size, cfg.optim.lr) for cfg in (rl(f"{t}_rl").actor_rollout_ref.actor for t in TASKS)]
    assert values == [(16, 1e-6), (32, 5e-7)]
    assert rl("code_rl").reward.reward_kwargs.klear.code.shape == "soft"
    assert [Path(file).stem for file in rl("math_rl").data.val_files] == ["aime24", "aime25"]


@pytest.mark.parametrize("name", [f"{task}_rl{size}" for task in TASKS for size in SIZES])
def test_the_batch_arithmetic_of_every_size_is_sound_for_its_model(name: str) -> None:
    cfg = rl(name)
    model = ModelFacts("a model", QWEN3_1_7B if name.endswith("1gpu") else QWEN3_8B, 0)
    klear = KlearConfig.model_validate(OmegaConf.to_container(cfg.klear, resolve=True))
    view = view_of(RLView, resolved(cfg)).model_copy(update={"klear": klear})
    batches.check_rl_batches(view)
    batches.check_rollout_scheduler(view)
    batches.check_context(view, model)
    check_rl_heads(view, model)
    batches.check_groups(view)
    compatibility.check_refused(cfg)


@pytest.mark.parametrize("size", ["8gpu", "1gpu", "cpu"])
def test_a_size_means_the_same_for_both_tasks(size: str) -> None:
    assert changed(f"math_rl_{size}", f"code_rl_{size}") <= changed("math_rl", "code_rl")


@pytest.mark.parametrize("task", TASKS)
def test_a_rehearsal_has_every_key_of_the_full_size_and_changes_only_what_its_override_group_says(task: str) -> None:
    group = flat(OmegaConf.to_container(OmegaConf.load(recipes_root() / "size/cpu.yaml")))
    own = {"klear.run_dir", "data.train_files", "data.val_files", "actor_rollout_ref.model.path"}
    assert changed(f"{task}_rl", f"{task}_rl_cpu") == {key[1:] for key in group} | own


@pytest.mark.parametrize("task", TASKS)
def test_the_docs_name_every_key_that_a_rehearsal_changes(task: str) -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert not [key for key in changed(f"{task}_rl", f"{task}_rl_cpu") if f"`{key}`" not in text]


def test_the_docs_name_every_recipe() -> None:
    for page in (DOCS, recipes_root() / "README.md"):
        text = page.read_text(encoding="utf-8")
        assert not [name for name in recipe_names() if f"`{name}`" not in text and not name.startswith("ablations/")]


def test_the_rehearsals_size_can_be_given_to_any_recipe_on_the_command_line() -> None:
    full = rl("math_rl", "+size=cpu")
    assert (full.trainer.nnodes, full.data.max_response_length, full.trainer.total_training_steps) == (1, 64, 2)


def test_paths_come_from_three_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rl("math_rl").actor_rollout_ref.model.path is None
    for name in ("model", "data", "runs"):
        monkeypatch.setenv(f"KLEAR_{name.upper()}", f"/shared/{name}")
    cfg = rl("code_rl_1gpu")
    assert (cfg.actor_rollout_ref.model.path, cfg.klear.run_dir) == ("/shared/model", "/shared/runs/code_rl_1gpu")
    assert cfg.data.train_files == "/shared/data/code_train.parquet"
    assert cfg.trainer.default_local_dir == "/shared/runs/code_rl_1gpu/checkpoints"


def test_sft_has_the_papers_values_and_leaves_room_for_the_length_of_rl() -> None:
    cfg = compose("sft_8b", kind="sft")
    assert (cfg.optim.lr, cfg.optim.lr_scheduler_type, cfg.optim.min_lr_ratio) == (8e-5, "cosine", 0.5)
    assert (cfg.data.max_length, cfg.trainer.total_epochs) == (32768, 4)
    view = view_of(SFTView, resolved(cfg))
    batches.check_sft_batches(view, view.trainer.ranks)
    check_sft_heads(view, ModelFacts("a model", QWEN3_8B, 0))
    data = rl("math_rl").data
    assert cfg.model.override_config.max_position_embeddings >= data.max_prompt_length + data.max_response_length
