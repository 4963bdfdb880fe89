# SPDX-License-Identifier: Apache-2.0
"""From a composed configuration to the numbers that the estimates need: how a run trains, and how much one RL step
generates and trains on, at most. Values are taken as checked (preflight)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from klear_verl.launch.estimate.memory import TrainingSetup
from klear_verl.trainer.config import GroupsConfig, KlearConfig
from klear_verl.utils.config import parse_config


@dataclass(frozen=True)
class StepSize:
    """Bounds of one step. `prompts` are generated (in mode "refill" at least these, and up to `most_prompts`);
    `trained` is the number of groups that may train, in at most `updates` optimiser updates."""

    prompts: int
    most_prompts: int
    n: int
    trained: int
    updates: int
    response_tokens: int
    total_tokens: int


def ranks(cfg: DictConfig) -> int:
    """GPUs of the whole run."""
    return int(cfg.trainer.nnodes) * int(cfg.trainer.n_gpus_per_node)


def rl_training(cfg: DictConfig) -> TrainingSetup:
    """The actor of an RL run."""
    role = cfg.actor_rollout_ref
    actor, rollout, engine = role.actor, role.rollout, role.actor.fsdp_config
    longest = int(cfg.data.max_prompt_length) + int(cfg.data.max_response_length)
    parallel = max(int(actor.ulysses_sequence_parallel_size), int(engine.ulysses_sequence_parallel_size))
    if actor.use_dynamic_bsz:
        update, infer = int(actor.ppo_max_token_len_per_gpu), int(rollout.log_prob_max_token_len_per_gpu)
    else:
        update = int(actor.ppo_micro_batch_size_per_gpu) * longest // parallel
        infer = int(rollout.log_prob_micro_batch_size_per_gpu) * longest // parallel
    return _engine(
        engine,
        role.model,
        shards=_shards(engine, ranks(cfg)),
        update_tokens=update,
        infer_tokens=infer,
        entropy_in_update=bool(actor.calculate_entropy or actor.entropy_coeff),
        entropy_chunk=int(actor.entropy_from_logits_chunk_size) if actor.entropy_from_logits_with_chunking else 0,
    )


def sft_training(cfg: DictConfig) -> TrainingSetup:
    """The model of an SFT run, whose evaluation computes no entropies."""
    parallel = int(cfg.engine.ulysses_sequence_parallel_size)
    dynamic = int(cfg.data.max_token_len_per_gpu)
    fixed = int(cfg.data.micro_batch_size_per_gpu) * int(cfg.data.max_length) // parallel
    tokens = dynamic if cfg.data.use_dynamic_bsz else fixed
    return _engine(
        cfg.engine,
        cfg.model,
        shards=_shards(cfg.engine, ranks(cfg)),
        update_tokens=tokens,
        infer_tokens=tokens,
        entropy_in_log_prob=False,
    )


def rl_step(cfg: DictConfig) -> StepSize:
    """Prompts, responses and tokens of one RL step."""
    node = OmegaConf.to_container(cfg.klear, resolve=True)
    assert isinstance(node, dict)
    klear = parse_config(KlearConfig, {str(key): value for key, value in node.items()}, "klear")
    return step_size(
        klear.groups,
        batch=int(cfg.data.train_batch_size),
        mini_batch=int(cfg.actor_rollout_ref.actor.ppo_mini_batch_size),
        epochs=int(cfg.actor_rollout_ref.actor.ppo_epochs),
        n=int(cfg.actor_rollout_ref.rollout.n),
        prompt_length=int(cfg.data.max_prompt_length),
        response_length=int(cfg.data.max_response_length),
    )


def step_size(
    groups: GroupsConfig, *, batch: int, mini_batch: int, epochs: int, n: int, prompt_length: int, response_length: int
) -> StepSize:
    """The size of a step under the trainer `klear_sync`.

    Args:
        groups: which groups are generated and which train (method, section 4).
        batch, mini_batch: `data.train_batch_size` and `ppo_mini_batch_size`, in prompts.
        epochs: `ppo_epochs`.
        n: responses per prompt.
        prompt_length, response_length: the limits, in tokens.

    Returns:
        Token counts are those of the prompts generated first, if every prompt and response had the limit's length.
    """
    prompts = groups.generate or batch
    most = (groups.max_generate or 10 * batch) if groups.mode == "refill" else prompts
    trained = prompts if groups.mode == "keep" else min(batch, most)
    responses = prompts * n
    return StepSize(
        prompts=prompts,
        most_prompts=most,
        n=n,
        trained=trained,
        updates=math.ceil(trained / mini_batch) * epochs,
        response_tokens=responses * response_length,
        total_tokens=responses * (prompt_length + response_length),
    )


def dtype_bytes(name: str) -> int:
    """Bytes of verl's names for dtypes: fp32, float32, bf16, bfloat16, fp16, float16, …"""
    return 4 if "32" in name else 2


def _engine(engine: DictConfig, model: DictConfig, **more: Any) -> TrainingSetup:
    # FSDPEngine._build_fsdp_module: bf16 and fp32 where nothing is said.
    mixed = OmegaConf.select(engine, "mixed_precision") or {}
    everything = bool(OmegaConf.select(engine, "offload_policy"))
    return TrainingSetup(
        state_bytes=dtype_bytes(str(engine.model_dtype)),
        compute_bytes=dtype_bytes(str(mixed.get("param_dtype", "bf16"))),
        reduce_bytes=dtype_bytes(str(mixed.get("reduce_dtype", "fp32"))),
        checkpointing=bool(model.enable_gradient_checkpointing),
        fused_logits=bool(model.use_fused_kernels),
        parameters_offloaded=everything or bool(engine.param_offload),
        optimizer_offloaded=everything or bool(engine.optimizer_offload),
        **more,
    )


def _shards(engine: DictConfig, world: int) -> int:
    size = int(engine.fsdp_size)
    return world if size < 0 or size > world else size
