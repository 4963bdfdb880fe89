# SPDX-License-Identifier: Apache-2.0
"""Batch arithmetic that verl 0.9.1 finds only after the engines are up, or pads over silently.

What verl's own `validate_config` says before the start (micro-batch sizes not set, both spellings set, …) is not
repeated here.
"""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError
from klear_verl.trainer.preflight.model import ModelFacts

GROUP_ESTIMATORS = frozenset({"grpo", "grpo_vectorized", "grpo_passk", "rloo", "rloo_vectorized", "opo", "gpg"})
"""Advantage estimators that compare the responses of one prompt with one another."""

_ACTOR = "actor_rollout_ref.actor"
_ROLLOUT = "actor_rollout_ref.rollout"


def check_rl_batches(cfg: DictConfig) -> None:
    """Group size, and what the data-parallel ranks, mini-batches and micro-batches must divide.

    Raises:
        ConfigError: names both options with their values.
    """
    n = _positive(cfg, f"{_ROLLOUT}.n")
    train = _positive(cfg, "data.train_batch_size")
    mini = _positive(cfg, f"{_ACTOR}.ppo_mini_batch_size")
    estimator = OmegaConf.select(cfg, "algorithm.adv_estimator")
    if estimator in GROUP_ESTIMATORS and n < 2:
        raise ConfigError(
            f"{_ROLLOUT}.n={n}: algorithm.adv_estimator={estimator} compares responses of a group",
            f"set {_ROLLOUT}.n≥2",
        )
    if train % mini:
        # trainer_base._balance_batch would pad the last mini-batch with empty rows: an optimiser step on a few samples.
        raise ConfigError(
            f"data.train_batch_size={train} is not a multiple of {_ACTOR}.ppo_mini_batch_size={mini}",
            f"set data.train_batch_size to a multiple of {mini}, or a mini-batch size that divides {train}",
        )
    dp = _data_parallel_size(cfg)
    if (mini * n) % dp:
        raise ConfigError(
            f"{_ACTOR}.ppo_mini_batch_size={mini} * {_ROLLOUT}.n={n} = {mini * n} responses cannot be split "
            f"over {dp} data-parallel ranks",
            f"make their product a multiple of {dp}",
        )
    micro = OmegaConf.select(cfg, f"{_ACTOR}.ppo_micro_batch_size_per_gpu")
    if not OmegaConf.select(cfg, f"{_ACTOR}.use_dynamic_bsz") and micro and (mini * n // dp) % micro:
        raise ConfigError(
            f"{mini * n // dp} responses per rank ({_ACTOR}.ppo_mini_batch_size={mini} * {_ROLLOUT}.n={n} / "
            f"{dp} ranks) are not a multiple "
            f"of {_ACTOR}.ppo_micro_batch_size_per_gpu={micro}",
            f"change the micro-batch size, or set {_ACTOR}.use_dynamic_bsz=True",
        )
    if OmegaConf.select(cfg, f"{_ACTOR}.use_dynamic_bsz"):
        _check_token_budget(cfg)


def _check_token_budget(cfg: DictConfig) -> None:
    budget_key = f"{_ACTOR}.ppo_max_token_len_per_gpu"
    sequence = _positive(cfg, "data.max_prompt_length") + _positive(cfg, "data.max_response_length")
    budget = _positive(cfg, budget_key) * _sequence_parallel(cfg)
    if budget < sequence:
        raise ConfigError(
            f"{budget_key} holds {budget} tokens, less than one sequence (data.max_prompt_length + "
            f"data.max_response_length = {sequence})",
            f"set {budget_key} to at least {-(-sequence // _sequence_parallel(cfg))}",
        )


def check_sft_batches(cfg: DictConfig, world_size: int) -> None:
    """The global batch must split evenly over the ranks and, without dynamic batches, into micro-batches.

    Raises:
        ConfigError: names both options with their values.
    """
    train = _positive(cfg, "data.train_batch_size")
    sp = OmegaConf.select(cfg, "engine.ulysses_sequence_parallel_size", default=1) or 1
    if world_size % sp:
        raise ConfigError(
            f"engine.ulysses_sequence_parallel_size={sp} does not divide {world_size} ranks", "choose a divisor"
        )
    dp = world_size // sp
    if train % dp:
        raise ConfigError(
            f"data.train_batch_size={train} cannot be split over {dp} data-parallel ranks", f"use a multiple of {dp}"
        )
    micro = OmegaConf.select(cfg, "data.micro_batch_size_per_gpu")
    if not OmegaConf.select(cfg, "data.use_dynamic_bsz") and micro and (train // dp) % micro:
        raise ConfigError(
            f"{train // dp} rows per rank are not a multiple of data.micro_batch_size_per_gpu={micro}",
            "change data.train_batch_size or data.micro_batch_size_per_gpu, or set data.use_dynamic_bsz=True",
        )


def check_context(cfg: DictConfig, model: ModelFacts) -> None:
    """Prompt and response must fit the model's context, or verl cuts responses short without a word.

    Raises:
        ConfigError: names the three lengths.
    """
    wanted = _positive(cfg, "data.max_prompt_length") + _positive(cfg, "data.max_response_length")
    limits = {
        f"{_ROLLOUT}.max_model_len": OmegaConf.select(cfg, f"{_ROLLOUT}.max_model_len"),
        f"max_position_embeddings of {model.path}": model.config.get("max_position_embeddings"),
    }
    for name, limit in limits.items():
        if limit and wanted > limit:
            raise ConfigError(
                f"data.max_prompt_length + data.max_response_length = {wanted} tokens, over {name} = {limit}",
                "lower one of the two lengths, or raise the limit (for a longer context, with rope scaling)",
            )


def check_dataset_covers_a_batch(rows: int, batch: int, files_key: str) -> None:
    """verl drops an incomplete batch: with fewer rows than one batch there is no step at all, found after the
    engines are up.

    Raises:
        ConfigError: names the files' option and the batch size.
    """
    if rows < batch:
        raise ConfigError(
            f"{files_key} has {rows} usable rows, data.train_batch_size={batch} needs at least {batch}",
            "lower the batch size",
        )


def _data_parallel_size(cfg: DictConfig) -> int:
    ranks = _positive(cfg, "trainer.nnodes") * _positive(cfg, "trainer.n_gpus_per_node")
    sp = _sequence_parallel(cfg)
    if ranks % sp:
        raise ConfigError(
            f"{_ACTOR}.ulysses_sequence_parallel_size={sp} does not divide {ranks} ranks", "choose a divisor"
        )
    sizes = {
        name: OmegaConf.select(cfg, f"{_ROLLOUT}.{name}_parallel_size") or 1
        for name in ("tensor_model", "data", "pipeline_model")
    }
    rollout = sizes["tensor_model"] * sizes["data"] * sizes["pipeline_model"]
    if ranks % rollout:
        raise ConfigError(
            f"{ranks} ranks cannot be split into rollout engines of {rollout} ({_ROLLOUT}.tensor_model_parallel_size="
            f"{sizes['tensor_model']} * data {sizes['data']} * pipeline {sizes['pipeline_model']})",
            "choose sizes whose product divides trainer.nnodes * trainer.n_gpus_per_node",
        )
    return int(ranks // sp)


def _sequence_parallel(cfg: DictConfig) -> int:
    outer = OmegaConf.select(cfg, f"{_ACTOR}.ulysses_sequence_parallel_size") or 1
    inner = OmegaConf.select(cfg, f"{_ACTOR}.fsdp_config.ulysses_sequence_parallel_size") or 1
    return int(max(outer, inner))


def _positive(cfg: DictConfig, key: str) -> int:
    value = OmegaConf.select(cfg, key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{key}={value!r} is not a positive whole number", f"set {key}=<number>")
    return value
