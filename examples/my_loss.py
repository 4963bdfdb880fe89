# SPDX-License-Identifier: Apache-2.0
"""A policy loss of one's own, chosen by name like verl's own and ours.

    PYTHONPATH=examples VERL_USE_EXTERNAL_MODULES=my_loss klear train examples/my_recipe.yaml

verl imports the modules that VERL_USE_EXTERNAL_MODULES names in each of its processes, and each registers what it has.
Here: REINFORCE with truncated importance weights, -sg(min(δ, c)) · Ã · log π, whose gradient factor is min(δ, c) in
every region (c is `clip_ratio_c`). `klear_sync` adds the loss on correct rollouts, the groups and the diagnostics as it
does for any other loss.
"""

from typing import Any

import torch
from verl.trainer.ppo.core_algos import agg_loss, register_policy_loss


@register_policy_loss("truncated_reinforce")
def truncated_reinforce(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, float]]:
    """All tensors are (batch_size, response_length); the gradient flows through `log_prob` only.

    `config.global_batch_info` has the sizes of the whole mini-batch: with them in `agg_loss`, the gradient is the same
    however the mini-batch is cut into micro-batches or spread over ranks.
    """
    weight = (log_prob - old_log_prob).detach().exp().clamp(max=config.clip_ratio_c)
    if rollout_is_weights is not None:
        weight = weight * rollout_is_weights
    token_loss = -weight * advantages * log_prob
    return agg_loss(token_loss, response_mask, loss_agg_mode, **config.global_batch_info), {}
