# SPDX-License-Identifier: Apache-2.0
"""Memory per GPU of verl's FSDP engine while it computes log-probabilities and updates the model, in bytes.

Not counted: the CUDA context and NCCL's buffers (1 to 2 GiB), fragmentation, what a sleeping rollout engine keeps, and
a reference model (verl keeps its weights on the CPU).
"""

from __future__ import annotations

from dataclasses import dataclass

from klear_verl.launch.estimate.model_shape import ModelShape

ENTROPY_COPIES = 2
"""softmax(logits) and its product with the logits (verl/utils/torch_functional.py, entropy_from_logits)."""


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
