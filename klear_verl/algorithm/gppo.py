# SPDX-License-Identifier: Apache-2.0
"""GPPO, gradient-preserving clipping policy optimization (arXiv 2508.07629, Eq. 11; general form Eq. 17).

Per token, with δ = π_θ/π_old and advantage Ã, the loss is -F·Ã and its gradient -F·Ã·∇log π, where F is

| region | F | PPO's gradient factor |
|---|---|---|
| δ < 1-ε_l, Ã < 0 | β1 (1-ε_l) | 0 |
| δ > 1+ε_h, Ã > 0 | β2 (1+ε_h) | 0 |
| elsewhere, the bounds themselves included | δ | δ |

so with β1 = β2 = 1 the value is PPO's with clip-higher, and only the gradient differs. Registered as verl's policy loss
`gppo`. It computes no entropy, KL or language-model term: verl adds the first two, a trainer the third.
"""

from typing import Any

import torch
from verl.trainer.ppo.core_algos import agg_loss, register_policy_loss
from verl.workers.config import ActorConfig

from klear_verl.algorithm.clip_regions import TokenRatios, region_means, region_sums, token_ratios
from klear_verl.algorithm.config import ClipRange, GPPOLossConfig
from klear_verl.algorithm.derivative import WithDerivative, differentiate_once
from klear_verl.errors import ConfigError

# |Ã·w| saturates here, far beyond any real advantage, so that sums over a batch stay finite in float32 and bfloat16.
MAX_ADVANTAGE = 1e18


def gppo_loss(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    loss_agg_mode: str,
    config: ActorConfig,
    rollout_is_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, TokenRatios]:
    """The GPPO term alone, whatever `positive_lm_coef` says: for loss functions that add that term themselves.

    Computed in float32 (float64 if `log_prob` is); finite for any finite input. A masked token may hold anything,
    NaN included. The loss is a partial sum of the global mini-batch when `config.global_batch_info` describes one.

    Args:
        old_log_prob: log π_old, (batch_size, response_length).
        log_prob: log π_θ, same shape; the gradient flows here only.
        advantages: Ã, same shape.
        response_mask: non-zero where a token is live, same shape.
        loss_agg_mode: as verl's `agg_loss`; the paper's is "token-mean".
        config: the actor's configuration.
        rollout_is_weights: w, multiplies each token's loss, same shape; None for 1.

    Returns:
        The scalar loss, and the tokens' ratios and regions, which diagnostics need too.

    Raises:
        ConfigError: a clip range or GPPO option outside its range.
    """
    options = GPPOLossConfig.from_policy_loss(config.policy_loss)
    clip = ClipRange.from_actor(config, options.dual_clip)
    with torch.no_grad():
        tokens = token_ratios(old_log_prob, log_prob, advantages, response_mask, clip)
        weighted = tokens.advantage
        if rollout_is_weights is not None:
            weighted = weighted * torch.where(tokens.live, rollout_is_weights.to(weighted.dtype), 0.0)

        factor = torch.where(tokens.regions.below_neg, options.beta1 * (1 - clip.low), tokens.ratio)
        factor = torch.where(tokens.regions.above_pos, options.beta2 * (1 + clip.high), factor)
        if tokens.dual_clipped is not None:
            factor = torch.where(tokens.dual_clipped, clip.c, factor)

        value = dvalue_dlogp = -factor * weighted.clamp(-MAX_ADVANTAGE, MAX_ADVANTAGE)
        if tokens.dual_clipped is not None and options.dual_clip == "zero_grad":
            dvalue_dlogp = torch.where(tokens.dual_clipped, 0.0, value)

    token_loss = WithDerivative.apply(log_prob, value, dvalue_dlogp)
    scale = _batch_scale(config.global_batch_info, tokens.live)
    return agg_loss(token_loss, tokens.live, loss_agg_mode, **scale), tokens


def _batch_scale(global_batch_info: dict[str, Any], live: torch.Tensor) -> dict[str, Any]:
    """verl's batch sizes, at least 1: where every token is masked the loss is then 0, not 0/0."""
    scale = dict(global_batch_info)
    local = {"batch_num_tokens": live, "global_batch_size": live.any(dim=-1)}
    for name, counted in local.items():
        if scale.get(name) is not None:
            scale[name] = max(scale[name], 1)
        elif scale.get("dp_size", 1) == 1:
            scale[name] = counted.sum().clamp(min=1)
    return scale


@register_policy_loss("gppo")
def compute_policy_loss_gppo(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    loss_agg_mode: str = "token-mean",
    config: ActorConfig | None = None,
    rollout_is_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, float]]:
    """What verl calls for `policy_loss.loss_mode=gppo`: `gppo_loss`, with the metrics listed in `clip_regions`.

    Raises:
        ConfigError: also when `positive_lm_coef` is not 0, because verl adds no such term; a trainer that
            does calls `gppo_loss`.
    """
    if config is None:
        raise ConfigError("policy loss gppo was called without the actor's config", "pass config=")
    coefficient = GPPOLossConfig.from_policy_loss(config.policy_loss).positive_lm_coef
    if coefficient != 0:
        raise ConfigError(
            f"actor_rollout_ref.actor.policy_loss.positive_lm_coef={coefficient}: this trainer adds no language-model "
            "loss on correct rollouts; a policy loss alone cannot, since it never sees which rollouts are correct",
            "set it to 0, or use trainer.v1.trainer_mode=klear_sync",
        )
    loss, dloss_dlogp, tokens = differentiate_once(
        lambda leaf: gppo_loss(
            old_log_prob, leaf, advantages, response_mask, loss_agg_mode, config, rollout_is_weights
        ),
        log_prob,
    )
    return loss, region_means(region_sums(tokens, dloss_dlogp))
