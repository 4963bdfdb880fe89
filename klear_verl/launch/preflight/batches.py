# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of batches, groups and lengths that verl 0.9.1 finds only after the engines are up, or pads over silently.

What verl's own `validate_config` says before the start (micro-batch sizes not set, both spellings set, …) is not
repeated here.
"""

from __future__ import annotations

from klear_verl.errors import ConfigError
from klear_verl.launch.preflight.model import ModelFacts
from klear_verl.launch.preflight.view import ACTOR, REF, ROLLOUT, TRAINER_MODE, RLView, SFTView, TrainerNode
from klear_verl.trainer.config import KlearConfig

PADDING_TOKENS = 128
"""Length of the no-op samples that fill a mini-batch up (verl/trainer/ppo/padding_utils.py)."""

GENERATE = "klear.groups.generate"


def check_rl_batches(view: RLView) -> None:
    """What the data-parallel ranks, mini-batches and micro-batches must divide.

    Raises:
        ConfigError: names both options with their values.
    """
    n, train, mini = view.rollout.n, view.data.train_batch_size, view.actor.ppo_mini_batch_size
    if train % mini:
        # trainer_base._balance_batch would pad the last mini-batch with empty rows: an optimiser step on a few samples.
        raise ConfigError(
            f"data.train_batch_size={train} is not a multiple of {ACTOR}.ppo_mini_batch_size={mini}",
            f"set data.train_batch_size to a multiple of {mini}, or a mini-batch size that divides {train}",
        )
    dp = _data_parallel_size(view)
    if (mini * n) % dp:
        raise ConfigError(
            f"{ACTOR}.ppo_mini_batch_size={mini} * {ROLLOUT}.n={n} = {mini * n} responses cannot be split "
            f"over {dp} data-parallel ranks",
            f"make their product a multiple of {dp}",
        )
    dynamic, log_prob_dynamic = view.actor.use_dynamic_bsz, view.rollout.log_prob_use_dynamic_bsz
    if log_prob_dynamic is not None and dynamic != log_prob_dynamic:
        raise ConfigError(
            f"{ACTOR}.use_dynamic_bsz={dynamic}, but {ROLLOUT}.log_prob_use_dynamic_bsz={log_prob_dynamic}: one "
            "engine does both",
            "leave the second alone, and it follows the first",
        )
    if dynamic:
        _check_token_budgets(view)
    else:
        _check_micro_batches(view, dp)


def _check_micro_batches(view: RLView, dp: int) -> None:
    """A rank's part of a mini-batch, in the update, and of several, in the log-probability passes."""
    mini, n = view.actor.ppo_mini_batch_size, view.rollout.n
    sizes = {
        f"{ACTOR}.ppo_micro_batch_size_per_gpu": view.actor.ppo_micro_batch_size_per_gpu,
        f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu": view.rollout.log_prob_micro_batch_size_per_gpu,
    }
    if view.reference:
        sizes[f"{REF}.log_prob_micro_batch_size_per_gpu"] = view.reference.log_prob_micro_batch_size_per_gpu
    for key, micro in sizes.items():
        if micro and (mini * n // dp) % micro:
            raise ConfigError(
                f"{mini * n // dp} responses per rank ({ACTOR}.ppo_mini_batch_size={mini} * {ROLLOUT}.n={n} / "
                f"{dp} ranks) are not a multiple of {key}={micro}",
                f"change the micro-batch size, or set {ACTOR}.use_dynamic_bsz=True",
            )


def _check_token_budgets(view: RLView) -> None:
    longest, what = view.data.longest, f"data.max_prompt_length + data.max_response_length = {view.data.longest}"
    if longest < PADDING_TOKENS:
        longest, what = PADDING_TOKENS, f"a padding sample of verl's: {PADDING_TOKENS}"
    parallel = view.actor.sequence_parallel
    budgets = {
        f"{ACTOR}.ppo_max_token_len_per_gpu": (view.actor.ppo_max_token_len_per_gpu, parallel),
        f"{ROLLOUT}.log_prob_max_token_len_per_gpu": (view.rollout.log_prob_max_token_len_per_gpu, parallel),
    }
    if view.reference:
        ranks = view.reference.ulysses_sequence_parallel_size or 1
        budgets[f"{REF}.log_prob_max_token_len_per_gpu"] = (view.reference.log_prob_max_token_len_per_gpu, ranks)
    for key, (budget, ranks) in budgets.items():
        if budget is not None and budget * ranks < longest:
            share = f" ({budget} on each of {ranks} sequence-parallel ranks)" if ranks > 1 else ""
            raise ConfigError(
                f"{key} holds {budget * ranks} tokens{share}, less than one sequence ({what})",
                f"set {key} to at least {-(-longest // ranks)}",
            )


def check_rollout_scheduler(view: RLView) -> None:
    """vLLM (SchedulerConfig.verify_max_model_len) schedules at least one token of each sequence.

    Raises:
        ConfigError: names both options with their values.
    """
    tokens, sequences = view.rollout.max_num_batched_tokens, view.rollout.max_num_seqs
    if tokens and sequences and tokens < sequences:
        raise ConfigError(
            f"{ROLLOUT}.max_num_batched_tokens={tokens} is less than {ROLLOUT}.max_num_seqs={sequences}",
            f"raise the first to {sequences} or more, or lower the second",
        )


def check_sft_batches(view: SFTView, world_size: int) -> None:
    """The global batch must split evenly over the ranks and into micro-batches; a dynamic one must hold the longest
    row.

    Raises:
        ConfigError: names both options with their values.
    """
    data, sp = view.data, view.engine.ulysses_sequence_parallel_size or 1
    if world_size % sp:
        raise ConfigError(
            f"engine.ulysses_sequence_parallel_size={sp} does not divide {world_size} ranks", "choose a divisor"
        )
    dp = world_size // sp
    if data.train_batch_size % dp:
        raise ConfigError(
            f"data.train_batch_size={data.train_batch_size} cannot be split over {dp} data-parallel ranks",
            f"use a multiple of {dp}",
        )
    budget = data.max_token_len_per_gpu
    if data.use_dynamic_bsz and budget and budget * sp < data.max_length:
        raise ConfigError(
            f"data.max_token_len_per_gpu={budget} * {sp} sequence-parallel ranks hold {budget * sp} tokens, less than "
            f"one row (data.max_length={data.max_length})",
            f"set data.max_token_len_per_gpu to at least {-(-data.max_length // sp)}",
        )
    rows, micro = data.train_batch_size // dp, data.micro_batch_size_per_gpu
    if not data.use_dynamic_bsz and micro and rows % micro:
        raise ConfigError(
            f"{rows} rows per rank are not a multiple of data.micro_batch_size_per_gpu={micro}",
            "change data.train_batch_size or data.micro_batch_size_per_gpu, or set data.use_dynamic_bsz=True",
        )


def check_groups(view: RLView) -> None:
    """`klear.groups` and `klear.overlong`: the prompts generated must be able to fill the batch, and a penalty must
    leave some length free of it.

    Raises:
        ConfigError: names both options with their values.
    """
    if not view.klear_sync:
        return
    groups, overlong, batch = view.klear.groups, view.klear.overlong, view.data.train_batch_size
    if groups.mode == "drop" and groups.generate is not None and groups.generate < batch:
        raise ConfigError(
            f"{GENERATE}={groups.generate} prompts a step can never fill data.train_batch_size={batch}, and "
            "klear.groups.mode=drop generates no more",
            f"set {GENERATE}={2 * batch} (the paper's ratio) or null (as many as the batch), or lower the batch size",
        )
    most = groups.max_generate
    if groups.mode == "refill" and most is not None and most < batch:
        raise ConfigError(
            f"klear.groups.max_generate={most} prompts a step can never fill data.train_batch_size={batch}",
            f"raise it to {batch} or more; null means {10 * batch}",
        )
    limit = view.data.max_response_length
    if overlong.mode == "penalty" and overlong.buffer_tokens >= limit:
        raise ConfigError(
            f"klear.overlong.buffer_tokens={overlong.buffer_tokens} is not less than data.max_response_length={limit}: "
            "every response would be punished for its length",
            f"lower it; DAPO has 4096 of 20480 tokens, here that would be {max(1, limit // 5)}",
        )


def unused_nodes(view: RLView) -> list[str]:
    """A note where `klear.groups` or `klear.overlong` asks for something that the chosen trainer never looks at."""
    default = KlearConfig()
    asked = [f"klear.{key}" for key in ("groups", "overlong") if getattr(view.klear, key) != getattr(default, key)]
    if view.klear_sync or not asked:
        return []
    return [f"{TRAINER_MODE}={view.trainer.v1.trainer_mode} does not look at {' and '.join(asked)}; klear_sync does"]


def check_context(view: RLView, model: ModelFacts) -> None:
    """Prompt and response must fit the model's context, or verl cuts responses short without a word.

    Raises:
        ConfigError: names the three lengths.
    """
    wanted = view.data.longest
    limits = {
        f"{ROLLOUT}.max_model_len": view.rollout.max_model_len,
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


def check_epochs_cover_the_steps(trainer: TrainerNode, rows: int, batch: int, batch_key: str) -> None:
    """verl ends a run after `trainer.total_epochs`, however many steps were asked for, and then neither saves nor
    validates its last one.

    Args:
        trainer: how long the run goes on.
        rows: usable rows.
        batch: rows that one step takes.
        batch_key: the option that this comes from.

    Raises:
        ConfigError: names both options with their values.
    """
    steps, epochs = trainer.total_training_steps, trainer.total_epochs
    if steps is not None and steps > (made := rows // batch * epochs):
        raise ConfigError(
            f"trainer.total_training_steps={steps}, but trainer.total_epochs={epochs} times {rows} rows make {made} "
            f"steps of {batch_key}={batch}",
            f"set trainer.total_epochs to {-(-steps // (rows // batch))} or more",
        )


def _data_parallel_size(view: RLView) -> int:
    ranks, sp = view.trainer.ranks, view.actor.sequence_parallel
    if ranks % sp:
        raise ConfigError(
            f"{ACTOR}.ulysses_sequence_parallel_size={sp} does not divide {ranks} ranks", "choose a divisor"
        )
    tensor, data, pipeline = (
        getattr(view.rollout, f"{name}_parallel_size") or 1 for name in ("tensor_model", "data", "pipeline_model")
    )
    rollout = tensor * data * pipeline
    if ranks % rollout:
        raise ConfigError(
            f"{ranks} ranks cannot be split into rollout engines of {rollout} ({ROLLOUT}.tensor_model_parallel_size="
            f"{tensor} * data {data} * pipeline {pipeline})",
            "choose sizes whose product divides trainer.nnodes * trainer.n_gpus_per_node",
        )
    return ranks // sp
