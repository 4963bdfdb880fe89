# SPDX-License-Identifier: Apache-2.0
"""The estimate as a person reads it: at full size, on the CPU platform, and where a model is unknown."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from klear_verl.launch.compose import compose
from klear_verl.launch.estimate import describe, estimate_lines
from tests.launch.full_size_models import QWEN3_1_7B, QWEN3_8B
from tests.launch.preflight_samples import write_model

GIB = 1 << 30


@pytest.fixture(autouse=True)
def gpus_of_80_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any machine gives the same lines: a GPU that is here is not looked at."""
    monkeypatch.setenv("VERL_PLATFORM", "nvidia")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@cache
def composed(name: str, platform: str) -> DictConfig:
    """A recipe on a platform, to be copied. Composing takes a second."""
    return compose(name, [f"platform/rl={platform}"], kind="rl")


def estimate(name: str, tmp_path: Path, model: dict[str, Any], *changes: tuple[str, Any], platform: str = "gpu") -> str:
    cfg = composed(name, platform).copy()
    for key, value in (("model.path", str(write_model(tmp_path / "model", **model))), *changes):
        OmegaConf.update(cfg, f"actor_rollout_ref.{key}", value)
    return "\n".join(estimate_lines("rl", cfg))


def test_the_papers_math_recipe(tmp_path: Path) -> None:
    text = estimate("math_rl", tmp_path, QWEN3_8B)
    assert "256 prompts x 8 responses, at most 67.11 million response tokens" in text
    assert "at most 128 groups = 1024 responses, in 8 optimiser steps" in text
    assert "8.19 billion parameters; ranks: 256, each on a GPU of 80.0 GiB (assumed" in text
    assert "activations 4.5 GiB, logits 4.6 GiB" in text
    # 0.7 * 80 = 56 GiB, less 8.19e9 * 2 / 2 bytes and 2 GiB, at 73728 bytes a token.
    tokens = (int(0.7 * 80 * GIB) - 8_190_735_360 - 2 * GIB) // 73728
    assert f"= {tokens / 1000:.2f} thousand tokens per engine" in text
    assert "engines: 128, with 16 responses each; 18 of full length (36864 tokens) fit at once" in text
    assert "WARNING" not in text


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("math_rl_8gpu", QWEN3_8B),
        ("code_rl_8gpu", QWEN3_8B),
        ("math_rl_1gpu", QWEN3_1_7B),
        ("code_rl_1gpu", QWEN3_1_7B),
    ],
)
def test_the_smaller_sizes_fit_their_gpus(name: str, model: dict[str, Any], tmp_path: Path) -> None:
    assert "WARNING" not in estimate(name, tmp_path, model)


def test_an_update_that_does_not_fit_is_warned_of(tmp_path: Path) -> None:
    budget = ("actor.ppo_max_token_len_per_gpu", 131072)
    # State 16 bytes a parameter / 8; gathered, the outer 2 * 151936 * 4096 + 4096 and two layers, 2 bytes each; layers'
    # inputs; logits and the gradient of the output matrix.
    outer, layer = 2 * 151936 * 4096 + 4096, 192_946_432
    state, gathered = 16 * 8_190_735_360 // 8, 2 * (outer + 2 * layer)
    activations, logits = 36 * 131072 * 4096 * 2, 131072 * 151936 * 2 + 151936 * 4096 * 2
    peak = (state + gathered + activations + logits) / GIB
    assert f"WARNING: {peak:.1f} GiB of a GPU's 80.0 GiB" in estimate("math_rl_8gpu", tmp_path, QWEN3_8B, budget)


def test_a_share_that_leaves_the_training_state_no_room_is_warned_of(tmp_path: Path) -> None:
    share = ("rollout.gpu_memory_utilization", 0.95)
    text = estimate("math_rl_1gpu", tmp_path, QWEN3_1_7B, share)
    assert "WARNING: vLLM's share and the training state are 95.2 GiB" in text
    offload = ("actor.fsdp_config.optimizer_offload", True)
    assert "more than a GPU's" in estimate("math_rl_1gpu", tmp_path, QWEN3_1_7B, share, offload)
    parameters = ("actor.fsdp_config.param_offload", True)
    assert "WARNING" not in estimate("math_rl_1gpu", tmp_path, QWEN3_1_7B, share, offload, parameters)


def test_a_cache_shorter_than_one_sequence_is_warned_of(tmp_path: Path) -> None:
    text = estimate("math_rl", tmp_path, QWEN3_8B, ("rollout.gpu_memory_utilization", 0.13))
    assert "less than one sequence of 36864" in text


def test_on_the_cpu_there_is_no_share_of_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "2")
    small = {"num_hidden_layers": 2, "num_attention_heads": 2, "head_dim": 32, "intermediate_size": 64}
    text = estimate("math_rl_cpu", tmp_path, small, platform="cpu")
    # 2 * 2 layers * 2 heads * 32 * 4 bytes a token.
    assert f"KV cache 2.0 GiB = {2 * GIB / 1024 / 1e6:.2f} million tokens per engine" in text
    assert "GPU" not in text


def test_without_dynamic_batches_a_micro_batch_has_the_length_limit(tmp_path: Path) -> None:
    fixed = {"use_dynamic_bsz": False, "ppo_micro_batch_size_per_gpu": 2}
    log_prob = ("rollout.log_prob_micro_batch_size_per_gpu", 1)
    text = estimate("math_rl", tmp_path, QWEN3_8B, *((f"actor.{key}", fixed[key]) for key in fixed), log_prob)
    # 2 sequences of 36864 tokens on 4 sequence-parallel ranks: 18432 * 151936 * 2 bytes.
    assert f"logits {18432 * 151936 * 2 / GIB:.1f} GiB" in text


@pytest.mark.parametrize(
    ("config", "said"),
    [({"model_type": "qwen3_moe"}, "not estimated for model type qwen3_moe"), (QWEN3_8B, "not estimated for LoRA")],
)
def test_memory_that_is_not_known_is_said_to_be_so_and_tokens_are_told_all_the_same(
    config: dict[str, Any], said: str, tmp_path: Path
) -> None:
    text = estimate("math_rl", tmp_path, config, ("model.lora_rank", 8))
    assert said in text
    assert "67.11 million" in text


def test_a_model_that_is_still_to_be_downloaded_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cfg = composed("math_rl", "gpu").copy()
    cfg.actor_rollout_ref.model.path = "nobody/nothing"
    assert estimate_lines("rl", cfg)[-1] == "memory: not estimated for a model that is not on this machine yet"


def test_a_run_tells_its_estimate_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from klear_verl.launch import launcher

    told: list[str] = []
    monkeypatch.setattr(launcher, "check_rl_config", lambda config: None)
    monkeypatch.setattr(launcher, "supervise", lambda *_: told.append(capsys.readouterr().err))
    folder = write_model(tmp_path / "model", **QWEN3_8B)
    overrides = [f"actor_rollout_ref.model.path={folder}", f"klear.run_dir={tmp_path / 'run'}"]
    assert launcher.launch("rl", ["math_rl", *overrides], "") == 0
    assert "klear: estimate, from formulas:\n  step: 256 prompts x 8 responses" in told[0]


def test_sft_has_no_rollout(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", **QWEN3_8B)
    lines = estimate_lines("sft", compose("sft_8b", [f"model.path={folder}"], kind="sft"))
    assert lines[0] == "step: 256 rows, at most 8.39 million tokens"
    assert [line.split(":")[0] for line in lines] == ["step", "model", "training"]


def test_models_beside_the_actor_are_named_as_not_counted(tmp_path: Path) -> None:
    assert "not counted" not in estimate("math_rl", tmp_path, QWEN3_8B)
    assert "not counted here: a reference model, beside" in estimate(
        "math_rl", tmp_path, QWEN3_8B, ("actor.use_kl_loss", True)
    )


def test_sizes_below_a_tenth_of_a_gib_are_in_mib() -> None:
    assert (describe._size(GIB), describe._size(GIB // 20)) == ("1.0 GiB", "51.2 MiB")
