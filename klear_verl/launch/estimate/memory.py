# SPDX-License-Identifier: Apache-2.0
"""Memory per GPU, in bytes: of a dense decoder, from its `config.json`; of verl's FSDP engine while it computes
log-probabilities and updates the model; and of a vLLM engine's share.

Not counted: the CUDA context and NCCL's buffers (1 to 2 GiB), fragmentation, what a sleeping rollout engine keeps, and
a reference model (verl keeps its weights on the CPU).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DENSE = ("llama", "mistral", "qwen2", "qwen3")
"""`model_type` of the architectures whose parameters are counted here; a test holds the count to transformers' own."""

ENTROPY_COPIES = 2
"""softmax(logits) and its product with the logits (verl/utils/torch_functional.py, entropy_from_logits)."""

OTHER_BYTES = 2 << 30
"""Activations of vLLM's profiling run, which its share includes: a round figure, not derived."""


@dataclass(frozen=True)
class ModelShape:
    """A decoder with grouped-query attention and a gated MLP; all sizes in elements.

    `query` and `key` are the widths of all query heads and of all key heads (as of all value heads). `layer_extra` are
    a layer's biases and head norms.
    """

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    kv_heads: int
    head_dim: int
    query: int
    key: int
    layer_extra: int
    tied: bool

    @property
    def layer_parameters(self) -> int:
        """Query, key, value and output projections, three MLP matrices, two norms."""
        attention = 2 * self.hidden * self.query + 2 * self.hidden * self.key
        return attention + 3 * self.hidden * self.intermediate + 2 * self.hidden + self.layer_extra

    @property
    def outer_parameters(self) -> int:
        """What is in no layer: the embedding, the output matrix unless it is the same, the last norm."""
        return (1 if self.tied else 2) * self.vocabulary * self.hidden + self.hidden

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.layers * self.layer_parameters + self.outer_parameters

    @property
    def saved_per_token(self) -> int:
        """Elements (of 2 bytes) that the forward pass of one layer keeps per token for its backward pass.

        Each RMSNorm keeps its input in float32 (2 elements), the normalised value and the output: 4 hidden, twice.
        Query and key: the same for the head norms, and the rotated value; attention keeps its output; the value is kept
        as it is. The MLP keeps gate, up, the activated gate and the product. Flash attention keeps nothing quadratic
        (Korthikanti et al., arXiv 2205.05198, section 4.1, count the same way for GPT). Measured for Qwen3, where it is
        exact to 3 %; without head norms it errs on the safe side.
        """
        return 8 * self.hidden + 5 * self.query + 5 * self.key + 4 * self.intermediate

    def kv_bytes_per_token(self, tensor_parallel: int, dtype_bytes: int = 2) -> int:
        """Bytes of KV cache per token on each GPU of an engine: vLLM divides the heads, or repeats them where there are
        fewer heads than GPUs."""
        return 2 * self.layers * max(1, self.kv_heads // tensor_parallel) * self.head_dim * dtype_bytes


def model_shape(config: Mapping[str, Any]) -> ModelShape | None:
    """Reads a Hugging Face configuration; None for an architecture that is not in DENSE."""
    kind = config.get("model_type")
    sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    if kind not in DENSE or any(not config.get(size) for size in sizes):
        return None
    heads = int(config["num_attention_heads"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    hidden = int(config["hidden_size"])
    head_dim = int(config.get("head_dim") or hidden // heads)
    query, key = heads * head_dim, kv_heads * head_dim
    extra = 0
    if kind == "qwen2":
        extra += query + 2 * key
    elif kind != "mistral" and config.get("attention_bias"):
        extra += query + 2 * key + hidden
    if kind == "qwen3":
        extra += 2 * head_dim
    return ModelShape(
        vocabulary=int(config["vocab_size"]),
        hidden=hidden,
        intermediate=int(config["intermediate_size"]),
        layers=int(config["num_hidden_layers"]),
        kv_heads=kv_heads,
        head_dim=head_dim,
        query=query,
        key=key,
        layer_extra=extra,
        tied=bool(config.get("tie_word_embeddings", False)),
    )


@dataclass(frozen=True)
class TrainingSetup:
    """What decides the memory of training. Tokens are those of one micro-batch on one GPU: with dynamic batches the
    token budget per GPU, since sequence parallelism multiplies and divides it by the same number.

    `shards`: ranks that share one copy of the state. `state_bytes`: per element of parameters, gradients and Adam's
    moments (`fsdp_config.model_dtype`). `compute_bytes`: of what is computed with. `entropy_chunk`: rows at a time, 0
    for all at once.
    """

    shards: int
    update_tokens: int
    infer_tokens: int
    state_bytes: int = 4
    compute_bytes: int = 2
    reduce_bytes: int = 4
    checkpointing: bool = True
    fused_logits: bool = False
    entropy_in_update: bool = False
    entropy_in_log_prob: bool = True
    entropy_chunk: int = 0
    parameters_offloaded: bool = False
    optimizer_offloaded: bool = False


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes per GPU. `update` and `log_prob` are the peaks of the two phases; the others are parts of them."""

    parameters: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    logits: int
    update: int
    log_prob: int
    resident: int


def training_memory(shape: ModelShape, setup: TrainingSetup) -> TrainingMemory:
    """The peaks of update and log-probability pass.

    State (ZeRO, Rajbhandari et al., arXiv 1910.02054, section 3.1): parameters, gradients and two moments, each
    P · state_bytes / shards. Gathered: FSDP holds whole, in compute_bytes, the root unit (embedding and output matrix,
    never resharded between forward and backward) and two layers (the one at work, one prefetched). Activations: with
    gradient checkpointing each layer's input, tokens · hidden · compute_bytes. On top comes the largest of what is
    not needed at the same time:

    - logits: tokens · vocabulary · compute_bytes. Flash-attn's cross entropy writes their gradient in place; an entropy
      in the loss adds its two copies and their gradients. In both cases the output matrix's gradient is whole as well.
    - one layer recomputed: what it keeps (`ModelShape.saved_per_token`) and three gradients of the MLP's width.
    - the root unit's gradients, whole, in compute_bytes and, for the reduction, in reduce_bytes.
    - Adam's temporaries: as much as one moment.

    The log-probability pass has no gradients; with verl's entropies its logits need two copies, chunk by chunk in
    float32 if so configured.

    Args:
        shape: the model.
        setup: how it is trained.

    Returns:
        Bytes per GPU. `resident` is what stays on the GPU while the rollout engine works.
    """
    parameters = shape.parameters * setup.state_bytes // setup.shards
    root = shape.outer_parameters
    whole = root + 2 * shape.layer_parameters
    # One rank that computes in the dtype of its state uses the state itself.
    gathered = 0 if setup.shards == 1 and setup.compute_bytes == setup.state_bytes else whole * setup.compute_bytes
    saved = shape.saved_per_token * setup.compute_bytes
    kept = shape.hidden * setup.compute_bytes if setup.checkpointing else saved
    activations = shape.layers * setup.update_tokens * kept
    output_gradient = shape.vocabulary * shape.hidden * setup.compute_bytes
    logits = _logits(shape, setup, setup.update_tokens)
    at_a_time = max(
        logits * (2 + ENTROPY_COPIES if setup.entropy_in_update else 1) + (output_gradient if logits else 0),
        setup.update_tokens * (saved + 3 * shape.intermediate * setup.compute_bytes),
        root * (setup.compute_bytes + setup.reduce_bytes) if setup.shards > 1 else 0,
        parameters,
    )
    infer_logits = _logits(shape, setup, setup.infer_tokens)
    if not infer_logits or not setup.entropy_in_log_prob:
        entropy = 0
    elif setup.entropy_chunk:
        rows = min(setup.entropy_chunk, setup.infer_tokens)
        entropy = (1 + ENTROPY_COPIES) * rows * shape.vocabulary * 4
    else:
        entropy = ENTROPY_COPIES * infer_logits
    one_layer = setup.infer_tokens * saved
    resident = (0 if setup.parameters_offloaded else parameters) + (0 if setup.optimizer_offloaded else 2 * parameters)
    return TrainingMemory(
        parameters=parameters,
        gradients=parameters,
        optimizer=2 * parameters,
        gathered=gathered,
        activations=activations,
        logits=logits,
        update=4 * parameters + gathered + activations + at_a_time,
        log_prob=max(resident, parameters) + gathered + max(infer_logits + entropy, one_layer),
        resident=resident,
    )


def _logits(shape: ModelShape, setup: TrainingSetup, tokens: int) -> int:
    """verl's fused kernels never hold them whole."""
    return 0 if setup.fused_logits else tokens * shape.vocabulary * setup.compute_bytes


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
