# SPDX-License-Identifier: Apache-2.0
"""The estimate in words: a few lines for a person, before the start."""

from __future__ import annotations

import os
from typing import Literal

from omegaconf import DictConfig, OmegaConf

from klear_verl.launch.estimate import settings
from klear_verl.launch.estimate.memory import (
    ModelShape,
    TrainingMemory,
    model_shape,
    rollout_memory,
    training_memory,
)
from klear_verl.launch.estimate.settings import StepSize
from klear_verl.launch.preflight.model import known_config
from klear_verl.trainer.compatibility import uses_critic

MIB, GIB = 1 << 20, 1 << 30

ASSUMED_GPU_BYTES = 80 * GIB
"""Where no GPU is visible: the head of a cluster, or a machine on which a recipe is only looked at."""

ROOM = 0.9
"""An estimate above this share of a GPU is called too much: what it leaves out takes the rest."""


def estimate_lines(kind: Literal["rl", "sft"], cfg: DictConfig) -> list[str]:
    """Memory per GPU and tokens per step of a configuration that preflight has accepted.

    Args:
        kind: which of the two trainers.
        cfg: the composed configuration.

    Returns:
        Lines of "label: text". Where the model's configuration is not on this machine, or its architecture is not one
        that is known here, a line says so in place of the memory.
    """
    node = "model" if kind == "sft" else "actor_rollout_ref.model"
    step = settings.rl_step(cfg) if kind == "rl" else None
    lines = _rl_step(step) if step else [_sft_step(cfg)]
    config = known_config(OmegaConf.select(cfg, f"{node}.path"))
    shape = model_shape(config)
    if shape is None:
        what = f"model type {config.get('model_type')}" if config else "a model that is not on this machine yet"
        return [*lines, f"memory: not estimated for {what}"]
    if int(OmegaConf.select(cfg, f"{node}.lora_rank") or 0) > 0:
        return [*lines, "memory: not estimated for LoRA"]
    gpu, place = _gpu_bytes(cfg)
    setup = settings.rl_training(cfg) if kind == "rl" else settings.sft_training(cfg)
    memory = training_memory(shape, setup)
    lines.append(f"model: {_count(shape.parameters)} parameters; ranks: {settings.ranks(cfg)}, each on {place}")
    lines += _training(memory, gpu)
    return lines + _rollout(cfg, shape, step, memory, gpu) + _not_counted(cfg) if step else lines


def _not_counted(cfg: DictConfig) -> list[str]:
    """Models beside the actor, which the method has no use for."""
    others = {
        "a critic": uses_critic(cfg),
        "a reference model": cfg.algorithm.use_kl_in_reward or cfg.actor_rollout_ref.actor.use_kl_loss,
    }
    names = [name for name, used in others.items() if used]
    return [f"WARNING: not counted here: {' and '.join(names)}, beside the actor on every GPU"] if names else []


def _rl_step(step: StepSize) -> list[str]:
    more = f", then more up to {step.most_prompts} prompts" if step.most_prompts > step.prompts else ""
    return [
        f"step: {step.prompts} prompts x {step.n} responses, at most {_count(step.response_tokens)} response tokens "
        f"({_count(step.total_tokens)} with the prompts){more}",
        f"update: at most {step.trained} groups = {step.trained * step.n} responses, in {step.updates} optimiser steps",
    ]


def _sft_step(cfg: DictConfig) -> str:
    rows = int(cfg.data.train_batch_size)
    return f"step: {rows} rows, at most {_count(rows * int(cfg.data.max_length))} tokens"


def _training(memory: TrainingMemory, gpu: int | None) -> list[str]:
    peak = max(memory.update, memory.log_prob)
    lines = [
        f"training: {_size(peak)} per rank at its peak: parameters {_size(memory.parameters)}, gradients "
        f"{_size(memory.gradients)}, Adam {_size(memory.optimizer)}, gathered {_size(memory.gathered)}, activations "
        f"{_size(memory.activations)}, logits {_size(memory.logits)} and their like"
    ]
    if gpu and peak > ROOM * gpu:
        lines.append(
            f"WARNING: {_size(peak)} of a GPU's {_size(gpu)} leave too little for what is not counted: lower the token "
            "budget per GPU, raise the sequence-parallel size, or use more GPUs"
        )
    return lines


def _rollout(cfg: DictConfig, shape: ModelShape, step: StepSize, memory: TrainingMemory, gpu: int | None) -> list[str]:
    rollout = cfg.actor_rollout_ref.rollout
    tensor, width = int(rollout.tensor_model_parallel_size), settings.dtype_bytes(str(rollout.dtype))
    if gpu is None:
        # vLLM on the CPU has a size of its own for the cache, and no share.
        cache = int(os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1")) * GIB
        kv_tokens = cache // shape.kv_bytes_per_token(tensor, width)
        lines = [f"rollout: KV cache {_size(cache)} = {_count(kv_tokens)} tokens per engine"]
    else:
        fraction = float(rollout.gpu_memory_utilization)
        engine = rollout_memory(shape, share=int(fraction * gpu), tensor_parallel=tensor, dtype_bytes=width)
        kv_tokens, together = engine.kv_tokens, engine.share + memory.resident
        lines = [
            f"rollout: {_size(engine.share)} per GPU for vLLM ({fraction:g} of it): weights {_size(engine.weights)}, "
            f"KV cache {_size(engine.kv_cache)} = {_count(kv_tokens)} tokens per engine; {_size(memory.resident)} of "
            "training state stay beside it"
        ]
        if together > gpu:
            lines.append(
                f"WARNING: vLLM's share and the training state are {_size(together)}, more than a GPU's {_size(gpu)}: "
                "lower rollout.gpu_memory_utilization, or set actor.fsdp_config.optimizer_offload=true"
            )
    longest = int(cfg.data.max_prompt_length) + int(cfg.data.max_response_length)
    engines = settings.ranks(cfg) // (tensor * int(rollout.data_parallel_size))
    at_once = min(kv_tokens // longest, int(rollout.max_num_seqs))
    lines.append(
        f"engines: {engines}, with {-(-step.prompts * step.n // engines)} responses each; {at_once} of full length "
        f"({longest} tokens) fit at once"
    )
    if kv_tokens < longest:
        lines.append(
            f"WARNING: the KV cache holds {_count(kv_tokens)} tokens, less than one sequence of {longest}: raise "
            "rollout.gpu_memory_utilization or rollout.tensor_model_parallel_size"
        )
    return lines


def _gpu_bytes(cfg: DictConfig) -> tuple[int | None, str]:
    """Memory of one GPU, None on the CPU platform, and where the ranks are."""
    if cfg.trainer.device == "cpu":
        return None, "the CPU"
    import torch

    if torch.cuda.is_available():
        total = int(torch.cuda.get_device_properties(0).total_memory)
        return total, f"a GPU of {_size(total)}"
    return ASSUMED_GPU_BYTES, f"a GPU of {_size(ASSUMED_GPU_BYTES)} (assumed: none is visible here)"


def _size(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB // 10 else f"{size / MIB:.1f} MiB"


def _count(number: int) -> str:
    for unit, name in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if number >= unit:
            return f"{number / unit:.2f} {name}"
    return str(number)
