# SPDX-License-Identifier: Apache-2.0
"""Attention: how a model's heads can be divided over vLLM's tensor-parallel ranks and over Ulysses' sequence-parallel
ones, and with which implementation. verl and vLLM find out only when the model is being built, or never."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError
from klear_verl.launch.preflight.model import ModelFacts


def check_attention(cfg: DictConfig, model_key: str) -> None:
    """Flash attention is for GPUs, and verl's default.

    Raises:
        ConfigError: it is chosen on the CPU platform.
    """
    if cfg.trainer.device == "cpu" and "flash" in (attention := _attention(cfg, model_key)):
        key = f"{model_key}.override_config.attn_implementation"
        raise ConfigError(f"{key}={attention}, but trainer.device=cpu has no flash attention", f"set {key}=sdpa")


def check_rl_heads(cfg: DictConfig, model: ModelFacts) -> None:
    """Tensor parallelism of the rollout and sequence parallelism of the actor against the model.

    Raises:
        ConfigError: names the option and the number that it does not divide.
    """
    role = "actor_rollout_ref"
    _check_heads(cfg, f"{role}.rollout.tensor_model_parallel_size", model)
    for key in (
        f"{role}.actor.ulysses_sequence_parallel_size",
        f"{role}.actor.fsdp_config.ulysses_sequence_parallel_size",
    ):
        _check_ulysses(cfg, key, f"{role}.model", model)


def check_sft_heads(cfg: DictConfig, model: ModelFacts) -> None:
    """Sequence parallelism of SFT against the model; raises as check_rl_heads."""
    _check_ulysses(cfg, "engine.ulysses_sequence_parallel_size", "model", model)


def _check_heads(cfg: DictConfig, key: str, model: ModelFacts) -> None:
    """vLLM (ModelConfig.verify_with_parallel_config; its attention layers for the KV heads) and verl
    (models/transformers/monkey_patch.py, apply_monkey_patch) have the same rule: query heads are divided, KV heads
    divided or repeated."""
    ranks = int(OmegaConf.select(cfg, key) or 1)
    heads = int(model.config.get("num_attention_heads") or 0)
    kv_heads = int(model.config.get("num_key_value_heads") or heads)
    if heads % ranks:
        raise ConfigError(
            f"{key}={ranks} does not divide the {heads} attention heads of {model.path}", f"choose {_divisors(heads)}"
        )
    if kv_heads and kv_heads % ranks and ranks % kv_heads:
        raise ConfigError(
            f"{key}={ranks} neither divides the {kv_heads} KV heads of {model.path} nor is a multiple of them",
            f"choose {_divisors(heads, kv_heads)}",
        )


def _check_ulysses(cfg: DictConfig, key: str, model_key: str, model: ModelFacts) -> None:
    ranks = int(OmegaConf.select(cfg, key) or 1)
    if ranks == 1:
        return
    _check_heads(cfg, key, model)
    if "flash" not in (attention := _attention(cfg, model_key)):
        # verl exchanges heads inside its flash attention only: any other attends within each rank's part of a sequence,
        # and nobody complains.
        raise ConfigError(
            f"{key}={ranks} needs flash attention, but {model_key}.override_config.attn_implementation={attention}: "
            "each rank would attend to its own part of a sequence only",
            f"set attn_implementation=flash_attention_2, or {key}=1",
        )


def _attention(cfg: DictConfig, model_key: str) -> str:
    override: Any = OmegaConf.select(cfg, f"{model_key}.override_config") or {}
    return str(override.get("attn_implementation", "flash_attention_2"))


def _divisors(heads: int, kv_heads: int | None = None) -> str:
    kv = kv_heads or heads
    fitting = [size for size in range(1, heads + 1) if heads % size == 0 and (kv % size == 0 or size % kv == 0)]
    return " or ".join(str(size) for size in fitting)
