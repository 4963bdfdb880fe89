# SPDX-License-Identifier: Apache-2.0
"""Which tokens lie in which region of the GPPO table (arXiv 2508.07629, Eq. 12), and what to log about them.

It measures; it never changes a gradient. Through the registry alone (`region_metrics`) every value is a mean over the
live tokens of one micro-batch, and verl then averages over micro-batches and ranks (its convention for every policy
loss): micro-batches of unequal length weigh equally, so a fraction is exact per micro-batch and approximate per step.
The klear trainer uses `region_sums` instead, which is exact per mini-batch and knows the entropy.

| metric | of the live tokens |
|---|---|
| `actor/gppo/frac_below_neg` | fraction with δ < 1-ε_l, Ã < 0 (PPO drops their gradient, GPPO keeps it) |
| `actor/gppo/frac_above_pos` | fraction with δ > 1+ε_h, Ã > 0 (likewise) |
| `actor/gppo/frac_below_pos` | fraction with δ < 1-ε_l, Ã > 0 |
| `actor/gppo/frac_above_neg` | fraction with δ > 1+ε_h, Ã < 0 |
| `actor/gppo/frac_inside` | fraction with δ in the band, whatever Ã; what is missing from 1 is outside with Ã = 0 |
| `actor/gppo/grad_share_<region>` | Σ|F·Ã| of the region over Σ|F·Ã| of all; all 0 if no token has a gradient |
| `actor/pg_clipfrac` | frac_below_neg + frac_above_pos: what `vanilla` logs under this name |
| `actor/pg_clipfrac_lower` | fraction that dual clip bounds; 0 while it is off |
| `actor/ppo_kl` | mean of -log δ, an estimate of KL(π_old, π_θ) |
"""

from typing import NamedTuple

import torch

from klear_verl.algorithm.config import ClipRange

# |log δ| is clamped as verl's own losses do, so that δ lies in [2e-9, 5e8].
MAX_LOG_RATIO = 20.0


class ClipRegions(NamedTuple):
    """Boolean tensors (batch_size, response_length). The first four are disjoint and lie in `outside`."""

    below_neg: torch.Tensor
    above_pos: torch.Tensor
    below_pos: torch.Tensor
    above_neg: torch.Tensor
    outside: torch.Tensor


def clip_regions(ratio: torch.Tensor, advantages: torch.Tensor, low: float, high: float) -> ClipRegions:
    """Sorts tokens by ratio and sign of the advantage; a ratio of exactly 1-low or 1+high is inside the band.

    Args:
        ratio: δ, (batch_size, response_length); 1 where masked.
        advantages: Ã, same shape; 0 where masked.
        low: ε_l.
        high: ε_h.
    """
    below, above = ratio < 1 - low, ratio > 1 + high
    neg, pos = advantages < 0, advantages > 0
    return ClipRegions(below & neg, above & pos, below & pos, above & neg, below | above)


def region_metrics(
    regions: ClipRegions,
    dual_clipped: torch.Tensor | None,
    log_ratio: torch.Tensor,
    slope: torch.Tensor,
    response_mask: torch.Tensor,
) -> dict[str, float]:
    """The metrics of the table above, read from the device in two transfers. All zero when every token is masked.

    Args:
        regions: as `clip_regions` returns them.
        dual_clipped: boolean, (batch_size, response_length): bounded by dual clip; None while it is off.
        log_ratio: log δ, same shape; 0 where masked.
        slope: F·Ã of each token (its sign does not matter here), same shape; 0 where masked.
        response_mask: boolean, same shape.
    """
    *sided, outside = regions
    names = ClipRegions._fields[:4]
    counted = [response_mask, outside, *sided] + ([] if dual_clipped is None else [dual_clipped])
    live, n_outside, *counts = torch.stack([tokens.sum() for tokens in counted]).tolist()
    size = slope.abs()
    summed = [size.sum(), log_ratio.sum(), *((size * tokens).sum() for tokens in sided)]
    total, total_log_ratio, *sizes = torch.stack(summed).tolist()

    n_tokens, gradient = max(live, 1), total or 1.0
    fractions = {name: count / n_tokens for name, count in zip(names, counts[:4], strict=True)}
    shares = {name: part / gradient for name, part in zip(names, sizes, strict=True)}
    return {
        "actor/pg_clipfrac": fractions["below_neg"] + fractions["above_pos"],
        "actor/pg_clipfrac_lower": sum(counts[4:]) / n_tokens,
        "actor/ppo_kl": -total_log_ratio / n_tokens,
        **{f"actor/gppo/frac_{name}": fraction for name, fraction in fractions.items()},
        "actor/gppo/frac_inside": (live - n_outside) / n_tokens,
        **{f"actor/gppo/grad_share_{name}": share for name, share in shares.items()},
        # Rounding of the five sums must not show as a negative share.
        "actor/gppo/grad_share_inside": max(0.0, total - sum(sizes)) / gradient,
    }


@torch.no_grad()
def region_sums(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    slope: torch.Tensor,
    clip: ClipRange,
    entropy: torch.Tensor | None = None,
) -> dict[str, float]:
    """Sums over the live tokens of one micro-batch, for a loss function that divides them by the mini-batch's token
    count: such sums add up exactly over micro-batches and ranks, where means do not. Works for any policy loss.

    Args:
        old_log_prob, log_prob, advantages, response_mask: as `gppo_loss` takes them.
        slope: the loss's derivative with respect to each log-probability, same shape.
        clip: the band; its c counts the tokens that dual clip bounds, None counts none.
        entropy: of the policy that generated, in nats, same shape; None leaves the entropy sums out.

    Returns:
        `tokens`, `non_finite` (log-probabilities that are NaN or infinite), `neg_log_ratio`, `dual_clipped`,
        `count_<region>` and `slope_<region>` for the four sided regions and `inside`, and `entropy_above_pos`,
        `entropy_rest`. Read from the device in one transfer.
    """
    live = response_mask.bool()
    log_ratio = torch.where(live, log_prob.float() - old_log_prob.float(), 0.0).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    advantage = torch.where(live, advantages.float(), 0.0)
    ratio = log_ratio.exp()
    *sided, outside = clip_regions(ratio, advantage, clip.low, clip.high)
    size = torch.where(live, slope.float().abs(), 0.0)
    broken = live & ~(torch.isfinite(log_prob) & torch.isfinite(old_log_prob))
    dual = (advantage < 0) & (ratio > clip.c) if clip.c is not None else torch.zeros_like(live)

    names = ["tokens", "non_finite", "neg_log_ratio", "dual_clipped", "count_inside", "slope_all"]
    summed = [live, broken, -log_ratio, dual, live & ~outside, size]
    for name, tokens in zip(ClipRegions._fields[:4], sided, strict=True):
        names += [f"count_{name}", f"slope_{name}"]
        summed += [tokens, size * tokens]
    if entropy is not None:
        above_pos = sided[1]
        names += ["entropy_above_pos", "entropy_rest"]
        summed += [torch.where(tokens, entropy.float(), 0.0) for tokens in (above_pos, live & ~above_pos)]
    # In float64: a mini-batch has millions of tokens.
    sums = dict(zip(names, torch.stack([part.sum(dtype=torch.float64) for part in summed]).tolist(), strict=True))
    outside_sum = sum(sums[f"slope_{name}"] for name in ClipRegions._fields[:4])
    sums["slope_inside"] = max(0.0, sums.pop("slope_all") - outside_sum)
    return sums
