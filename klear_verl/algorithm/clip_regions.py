# SPDX-License-Identifier: Apache-2.0
"""Which tokens lie in which region of the GPPO table (arXiv 2508.07629, Eq. 12), and what to log about them.

It measures; it never changes a gradient. Every value is a mean over the live tokens of one micro-batch, and verl then
averages over micro-batches and ranks (its convention for every policy loss): micro-batches of unequal length weigh
equally, so a fraction is exact per micro-batch and approximate per step.

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

import math
from typing import NamedTuple

import torch


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
def clipped_high_entropy(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    entropy: torch.Tensor,
    high: float,
) -> dict[str, float]:
    """Entropy of the tokens clipped high with Ã > 0 against that of the rest, to check the paper's claim about them.

    A policy loss of verl never sees the entropy, so `gppo` does not log this; a loss function over the whole
    micro-batch can. It returns sums over each group divided by the count of *all* live tokens, since a mean over a
    group that is empty in one micro-batch does not survive averaging. The group's mean entropy is the quotient of the
    averaged values: `entropy_mass_above_pos / frac_above_pos` and `entropy_mass_rest / (1 - frac_above_pos)`.

    Args:
        old_log_prob, log_prob, advantages, response_mask: as `gppo_loss` takes them.
        entropy: of the policy at each token, in nats, (batch_size, response_length).
        high: ε_h.
    """
    live = response_mask.bool()
    # log δ against log(1+ε_h): no exponential, nothing overflows.
    clipped = live & (advantages > 0) & (log_prob.float() - old_log_prob.float() > math.log1p(high))
    masses = [torch.where(tokens, entropy, 0.0).sum(dtype=torch.float32) for tokens in (clipped, live & ~clipped)]
    count, above_pos, rest = torch.stack([live.sum(dtype=torch.float32), *masses]).tolist()
    n_tokens = max(count, 1.0)
    return {
        "actor/gppo/entropy_mass_above_pos": above_pos / n_tokens,
        "actor/gppo/entropy_mass_rest": rest / n_tokens,
    }
