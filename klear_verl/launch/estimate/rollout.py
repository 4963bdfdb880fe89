# SPDX-License-Identifier: Apache-2.0
"""What a vLLM engine's share of GPU memory holds: weights and the KV cache, in bytes and in tokens."""

from __future__ import annotations

from dataclasses import dataclass

from klear_verl.launch.estimate.model_shape import ModelShape

OTHER_BYTES = 2 << 30
"""Activations of vLLM's profiling run, which its share includes: a round figure, not derived."""


@dataclass(frozen=True)
class RolloutMemory:
    """Per GPU: the engine's share, its weights and its KV cache. Per engine: the tokens that the cache holds."""

    share: int
    weights: int
    kv_cache: int
    kv_tokens: int


def rollout_memory(shape: ModelShape, *, share: int, tensor_parallel: int, dtype_bytes: int = 2) -> RolloutMemory:
    """Divides an engine's share of a GPU.

    vLLM takes `gpu_memory_utilization` of the whole GPU; what weights (P · dtype_bytes / tensor_parallel, embedding and
    output matrix included) and its own activations leave is the KV cache (Kwon et al., arXiv 2309.06180): 2 · layers ·
    KV heads · head dimension elements per token, the heads divided among the GPUs.

    Args:
        shape: the model.
        share: bytes of each GPU that the engine takes.
        tensor_parallel: GPUs per engine.
        dtype_bytes: of weights and cache.
    """
    weights = shape.parameters * dtype_bytes // tensor_parallel
    cache = max(0, share - weights - OTHER_BYTES)
    return RolloutMemory(share, weights, cache, cache // shape.kv_bytes_per_token(tensor_parallel, dtype_bytes))
