# SPDX-License-Identifier: Apache-2.0
"""The language-model loss on correct rollouts (arXiv 2508.07629, Eq. 13), the second term of Eq. 14:

    L = L_GPPO + α L_LM        L_LM = -(1 / Σ_{j∈Φ} T_j) Σ_{j∈Φ} Σ_t log π_θ(a_t | s_t)

with Φ the correct responses that train in this update. The paper prints π where the released code, and this, use
log π: the negative log-likelihood. It decides nothing about correctness; the trainer does, from `acc`.
"""

import torch


def positive_lm_loss(
    log_prob: torch.Tensor,
    response_mask: torch.Tensor,
    positive: torch.Tensor,
    positive_tokens: int,
    dp_size: int = 1,
) -> torch.Tensor:
    """This micro-batch's part of L_LM: the parts of all micro-batches and ranks of a mini-batch add up to L_LM.

    The normaliser is the mini-batch's, so that the gradient does not depend on how it is cut (the released code divides
    by the micro-batch's own count, and a short positive alone in its micro-batch weighs ten times too much).

    Args:
        log_prob: log π_θ, (batch_size, response_length). What is masked or not positive may hold anything.
        response_mask: non-zero where a token trains, same shape.
        positive: bool, (batch_size,): the response is in Φ.
        positive_tokens: Σ_{j∈Φ} T_j over the whole mini-batch, all ranks; 0 makes the term exactly 0.
        dp_size: number of data-parallel ranks, whose gradients are averaged.

    Returns:
        A scalar in float32 (float64 if `log_prob` is).
    """
    dtype = torch.promote_types(log_prob.dtype, torch.float32)
    chosen = response_mask.bool() & positive.bool().unsqueeze(-1)
    total = torch.where(chosen, log_prob.to(dtype), 0.0).sum()
    return -total * (dp_size / max(positive_tokens, 1))
