# SPDX-License-Identifier: Apache-2.0
"""Batch arithmetic that verl 0.9.1 finds only after the engines are up, or pads over silently.

What verl's own `validate_config` says before the start (micro-batch sizes not set, both spellings set, …) is not
repeated here.
"""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError
from klear_verl.launch.preflight.model import ModelFacts
from klear_verl.trainer.compatibility import check_group_size

PADDING_TOKENS = 128
"""Length of the no-op samples that fill a mini-batch up (verl/trainer/ppo/padding_utils.py)."""

_ACTOR = "actor_rollout_ref.actor"
_ROLLOUT = "actor_rollout_ref.rollout"
_REF = "actor_rollout_ref.ref"


def check_rl_batches(cfg: DictConfig) -> None:
    """Group size, and what the data-parallel ranks, mini-batches and micro-batches must divide.

    Raises:
        ConfigError: names both options with their values.
    """
    n = positive(cfg, f"{_ROLLOUT}.n")
    train = positive(cfg, "data.train_batch_size")
    mini = positive(cfg, f"{_ACTOR}.ppo_mini_batch_size")
    check_group_size(cfg)
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
    dynamic = bool(OmegaConf.select(cfg, f"{_ACTOR}.use_dynamic_bsz"))
    log_prob_dynamic = bool(OmegaConf.select(cfg, f"{_ROLLOUT}.log_prob_use_dynamic_bsz", default=dynamic))
    if dynamic != log_prob_dynamic:
        raise ConfigError(
            f"{_ACTOR}.use_dynamic_bsz={dynamic}, but {_ROLLOUT}.log_prob_use_dynamic_bsz={log_prob_dynamic}: one "
            "engine does both",
            "leave the second alone, and it follows the first",
        )
    if dynamic:
        _check_token_budgets(cfg)
    else:
        _check_micro_batches(cfg, mini, n, dp)


def _check_micro_batches(cfg: DictConfig, mini: int, n: int, dp: int) -> None:
    """A rank's part of a mini-batch, in the update, and of several, in the log-probability passes."""
    keys = [f"{_ACTOR}.ppo_micro_batch_size_per_gpu", f"{_ROLLOUT}.log_prob_micro_batch_size_per_gpu"]
    if _uses_reference(cfg):
        keys.append(f"{_REF}.log_prob_micro_batch_size_per_gpu")
    for key in keys:
        micro = OmegaConf.select(cfg, key)
        if micro and (mini * n // dp) % micro:
            raise ConfigError(
                f"{mini * n // dp} responses per rank ({_ACTOR}.ppo_mini_batch_size={mini} * {_ROLLOUT}.n={n} / "
                f"{dp} ranks) are not a multiple of {key}={micro}",
                f"change the micro-batch size, or set {_ACTOR}.use_dynamic_bsz=True",
            )


def _check_token_budgets(cfg: DictConfig) -> None:
    prompt, response = positive(cfg, "data.max_prompt_length"), positive(cfg, "data.max_response_length")
    longest, what = prompt + response, f"data.max_prompt_length + data.max_response_length = {prompt + response}"
    if longest < PADDING_TOKENS:
        longest, what = PADDING_TOKENS, f"a padding sample of verl's: {PADDING_TOKENS}"
    keys = {
        f"{_ACTOR}.ppo_max_token_len_per_gpu": _sequence_parallel(cfg),
        f"{_ROLLOUT}.log_prob_max_token_len_per_gpu": _sequence_parallel(cfg),
    }
    if _uses_reference(cfg):
        ref = OmegaConf.select(cfg, f"{_REF}.ulysses_sequence_parallel_size") or 1
        keys[f"{_REF}.log_prob_max_token_len_per_gpu"] = int(ref)
    for key, parallel in keys.items():
        if OmegaConf.select(cfg, key) is None and not key.startswith(_ACTOR):
            continue
        budget = positive(cfg, key) * parallel
        if budget < longest:
            ranks = f" ({budget // parallel} on each of {parallel} sequence-parallel ranks)" if parallel > 1 else ""
            raise ConfigError(
                f"{key} holds {budget} tokens{ranks}, less than one sequence ({what})",
                f"set {key} to at least {-(-longest // parallel)}",
            )


def _uses_reference(cfg: DictConfig) -> bool:
    return bool(OmegaConf.select(cfg, f"{_ACTOR}.use_kl_loss") or OmegaConf.select(cfg, "algorithm.use_kl_in_reward"))


def check_rollout_scheduler(cfg: DictConfig) -> None:
    """vLLM (SchedulerConfig.verify_max_model_len) schedules at least one token of each sequence.

    Raises:
        ConfigError: names both options with their values.
    """
    tokens, sequences = (
        OmegaConf.select(cfg, f"{_ROLLOUT}.{key}") for key in ("max_num_batched_tokens", "max_num_seqs")
    )
    if tokens and sequences and tokens < sequences:
        raise ConfigError(
            f"{_ROLLOUT}.max_num_batched_tokens={tokens} is less than {_ROLLOUT}.max_num_seqs={sequences}",
            f"raise the first to {sequences} or more, or lower the second",
        )


def check_sft_batches(cfg: DictConfig, world_size: int) -> None:
    """The global batch must split evenly over the ranks and into micro-batches; a dynamic one must hold the longest
    row.

    Raises:
        ConfigError: names both options with their values.
    """
    train = positive(cfg, "data.train_batch_size")
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
    budget, longest = (OmegaConf.select(cfg, f"data.{key}") for key in ("max_token_len_per_gpu", "max_length"))
    if OmegaConf.select(cfg, "data.use_dynamic_bsz") and budget and longest and budget * sp < longest:
        raise ConfigError(
            f"data.max_token_len_per_gpu={budget} * {sp} sequence-parallel ranks hold {budget * sp} tokens, less than "
            f"one row (data.max_length={longest})",
            f"set data.max_token_len_per_gpu to at least {-(-longest // sp)}",
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
    wanted = positive(cfg, "data.max_prompt_length") + positive(cfg, "data.max_response_length")
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


def check_dataset_covers_a_batch(
    rows: int, batch: int, files_key: str, batch_key: str = "data.train_batch_size"
) -> None:
    """verl drops an incomplete batch: with fewer rows than one batch there is no step at all, found after the
    engines are up.

    Args:
        rows: usable rows.
        batch: rows that one step takes.
        files_key, batch_key: the options that these come from.

    Raises:
        ConfigError: names the files' option and the batch size.
    """
    if rows < batch:
        raise ConfigError(
            f"{files_key} has {rows} usable rows, {batch_key}={batch} needs at least {batch}",
            "lower the batch size",
        )


def check_epochs_cover_the_steps(cfg: DictConfig, rows: int, batch_key: str) -> None:
    """verl ends a run after `trainer.total_epochs`, however many steps were asked for, and then neither saves nor
    validates its last one.

    Args:
        cfg: the configuration.
        rows: usable rows.
        batch_key: the option with the rows that one step takes.

    Raises:
        ConfigError: names both options with their values.
    """
    steps = OmegaConf.select(cfg, "trainer.total_training_steps")
    if steps is None:
        return
    batch, epochs = positive(cfg, batch_key), positive(cfg, "trainer.total_epochs")
    if steps > (made := rows // batch * epochs):
        raise ConfigError(
            f"trainer.total_training_steps={steps}, but trainer.total_epochs={epochs} times {rows} rows make {made} "
            f"steps of {batch_key}={batch}",
            f"set trainer.total_epochs to {-(-steps // (rows // batch))} or more",
        )


def positive(cfg: DictConfig, key: str) -> int:
    """The value of an option that must be a positive whole number; raises ConfigError where it is not."""
    value = OmegaConf.select(cfg, key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{key}={value!r} is not a positive whole number", f"set {key}=<number>")
    return value


def _data_parallel_size(cfg: DictConfig) -> int:
    ranks = positive(cfg, "trainer.nnodes") * positive(cfg, "trainer.n_gpus_per_node")
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
