# SPDX-License-Identifier: Apache-2.0
"""Which tokens lie in which region of the GPPO table (arXiv 2508.07629, Eq. 12), and what to log about them.

It measures; it never changes a gradient. `region_sums` adds up over a micro-batch. Through the registry alone every
metric is their quotient (`region_means`), a mean over the live tokens of one micro-batch, and verl then averages over
micro-batches and ranks (its convention for every policy loss): micro-batches of unequal length weigh equally, so a
fraction is exact per micro-batch and approximate per step. The klear trainer divides by the mini-batch's tokens
instead, which is exact, and adds the entropy.

| metric | of the live tokens |
|---|---|
| `actor/gppo/frac_below_neg` | fraction with δ < 1-ε_l, Ã < 0 (PPO drops their gradient, GPPO keeps it) |
| `actor/gppo/frac_above_pos` | fraction with δ > 1+ε_h, Ã > 0 (likewise) |
| `actor/gppo/frac_below_pos` | fraction with δ < 1-ε_l, Ã > 0 |
| `actor/gppo/frac_above_neg` | fraction with δ > 1+ε_h, Ã < 0 |
| `actor/gppo/frac_inside` | fraction with δ in the band, whatever Ã; what is missing from 1 is outside with Ã = 0 |
| `actor/gppo/grad_share_<region>` | Σ|∂L/∂log π| of the region over that of all; all 0 if no token has a gradient |
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


SIDED = ClipRegions._fields[:4]
"""The regions outside the band, by side and sign of the advantage."""
REGIONS = (*SIDED, "inside")
"""Every region that metrics are named after."""


class TokenRatios(NamedTuple):
    """What a clipped policy loss computes of each token before it weighs them; tensors (batch_size, response_length).
    A masked token has log_ratio 0, ratio 1, advantage 0, whatever it holds, and lies in no region."""

    live: torch.Tensor
    non_finite: torch.Tensor
    """Live, with a log-probability, old or new, that is NaN or infinite."""
    log_ratio: torch.Tensor
    ratio: torch.Tensor
    advantage: torch.Tensor
    regions: ClipRegions
    dual_clipped: torch.Tensor | None
    """Ã < 0 and δ > c; None while dual clip is off."""


@torch.no_grad()
def token_ratios(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    clip: ClipRange,
) -> TokenRatios:
    """Sorts tokens into regions, in float32 (float64 if `log_prob` is).

    Args:
        old_log_prob: log π_old, (batch_size, response_length).
        log_prob: log π_θ, same shape.
        advantages: Ã, same shape.
        response_mask: non-zero where a token is live, same shape.
        clip: the band, and c.
    """
    live = response_mask.bool()
    dtype = torch.promote_types(log_prob.dtype, torch.float32)
    # Masked first: nothing that follows ever sees what a masked token holds.
    log_ratio = torch.where(live, log_prob.to(dtype) - old_log_prob.to(dtype), 0.0)
    advantage = torch.where(live, advantages.to(dtype), 0.0)
    non_finite = ~torch.isfinite(log_ratio)
    ratio = log_ratio.clamp_(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    regions = clip_regions(ratio, advantage, clip.low, clip.high)
    dual_clipped = None if clip.c is None else (advantage < 0) & (ratio > clip.c)
    return TokenRatios(live, non_finite, log_ratio, ratio, advantage, regions, dual_clipped)


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


@torch.no_grad()
def region_sums(
    tokens: TokenRatios, dloss_dlogp: torch.Tensor, entropy: torch.Tensor | None = None
) -> dict[str, float]:
    """Sums over the live tokens of one micro-batch. They add up exactly over micro-batches and ranks, where means do
    not. Works for any policy loss.

    Args:
        tokens: as `token_ratios` returns them.
        dloss_dlogp: the loss's derivative with respect to each log-probability, same shape.
        entropy: of the policy that generated, in nats, same shape; None leaves the entropy sums out.

    Returns:
        `tokens`, `non_finite`, `neg_log_ratio`, `dual_clipped`, `count_<region>` and `gradient_<region>` (of
        |∂L/∂log π|) for every region, and `entropy_above_pos`, `entropy_rest`. Read from the device in one transfer.
    """
    live, sided = tokens.live, tokens.regions[:4]
    size = torch.where(live, dloss_dlogp.to(tokens.ratio.dtype).abs(), 0.0)
    names = ["tokens", "non_finite", "log_ratio", "outside", "gradient"]
    summed = [live, tokens.non_finite, tokens.log_ratio, tokens.regions.outside, size]
    for name, region in zip(SIDED, sided, strict=True):
        names += [f"count_{name}", f"gradient_{name}"]
        summed += [region, size * region]
    if tokens.dual_clipped is not None:
        names.append("dual_clipped")
        summed.append(tokens.dual_clipped)
    if entropy is not None:
        above_pos = tokens.regions.above_pos
        names += ["entropy_above_pos", "entropy_rest"]
        summed += [torch.where(chosen, entropy.float(), 0.0) for chosen in (above_pos, live & ~above_pos)]
    # Booleans are counted, which is exact; torch adds numbers up in pairs, so that float32 does for millions of tokens.
    totals = [torch.count_nonzero(part) if part.dtype == torch.bool else part.sum() for part in summed]
    sums = dict(zip(names, torch.stack([total.double() for total in totals]).tolist(), strict=True))
    sums["neg_log_ratio"] = -sums.pop("log_ratio")
    sums["count_inside"] = sums["tokens"] - sums.pop("outside")
    # Rounding of the five sums must not show as a negative share.
    sums["gradient_inside"] = max(0.0, sums.pop("gradient") - sum(sums[f"gradient_{name}"] for name in SIDED))
    return {"dual_clipped": 0.0} | sums


def region_means(sums: dict[str, float]) -> dict[str, float]:
    """The metrics of the table above, of one micro-batch. All zero when every token is masked."""
    tokens = max(sums["tokens"], 1.0)
    gradient = sum(sums[f"gradient_{name}"] for name in REGIONS) or 1.0
    return {
        "actor/pg_clipfrac": (sums["count_below_neg"] + sums["count_above_pos"]) / tokens,
        "actor/pg_clipfrac_lower": sums["dual_clipped"] / tokens,
        "actor/ppo_kl": sums["neg_log_ratio"] / tokens,
        **{f"actor/gppo/frac_{name}": sums[f"count_{name}"] / tokens for name in REGIONS},
        **{f"actor/gppo/grad_share_{name}": sums[f"gradient_{name}"] / gradient for name in REGIONS},
    }
