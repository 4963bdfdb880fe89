# SPDX-License-Identifier: Apache-2.0
"""Independent references for the GPPO tests: the paper's equations, literally, with autograd. No code of ours."""

from typing import Any

import torch
from verl.workers.config import FSDPActorConfig, PolicyLossConfig

EPS_LOW, EPS_HIGH = 0.2, 0.28


def actor_config(policy_loss: PolicyLossConfig | None = None, **changes: Any) -> FSDPActorConfig:
    """verl's actor config with the paper's clip range."""
    values: dict[str, Any] = {"clip_ratio_low": EPS_LOW, "clip_ratio_high": EPS_HIGH, **changes}
    policy_loss = PolicyLossConfig(loss_mode="gppo") if policy_loss is None else policy_loss
    return FSDPActorConfig(strategy="fsdp", rollout_n=8, use_dynamic_bsz=True, policy_loss=policy_loss, **values)


def equation_11(old_log_prob: torch.Tensor, log_prob: torch.Tensor, advantages: torch.Tensor) -> torch.Tensor:
    """min(δÃ, clip(δ, (1-ε_l)/sg(δ)·δ, (1+ε_h)/sg(δ)·δ)Ã) per token, as printed."""
    ratio = torch.exp(log_prob - old_log_prob)
    lowest = (1 - EPS_LOW) / ratio.detach() * ratio
    highest = (1 + EPS_HIGH) / ratio.detach() * ratio
    clipped = torch.minimum(torch.maximum(ratio, lowest), highest)
    return torch.minimum(ratio * advantages, clipped * advantages)


def equation_17(
    old_log_prob: torch.Tensor, log_prob: torch.Tensor, advantages: torch.Tensor, beta1: float, beta2: float
) -> torch.Tensor:
    """The general form per token, case by case, as printed."""
    ratio = torch.exp(log_prob - old_log_prob)
    one = ratio / ratio.detach()
    cases = []
    for token, unit, advantage in zip(ratio.flatten(), one.flatten(), advantages.flatten(), strict=True):
        if token < 1 - EPS_LOW and advantage < 0:
            cases.append(beta1 * (1 - EPS_LOW) * unit * advantage)
        elif token > 1 + EPS_HIGH and advantage > 0:
            cases.append(beta2 * (1 + EPS_HIGH) * unit * advantage)
        else:
            cases.append(token * advantage)
    return torch.stack(cases).reshape(ratio.shape)


def random_batch(
    batch: int = 6, length: int = 40, spread: float = 0.5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Old and new log-probabilities whose ratios reach every region, advantages of both signs, ragged masks."""
    generator = torch.Generator().manual_seed(seed)
    old_log_prob = -3 * torch.rand(batch, length, generator=generator, dtype=torch.float64)
    moved = old_log_prob + spread * torch.randn(batch, length, generator=generator, dtype=torch.float64)
    lengths = torch.randint(1, length + 1, (batch, 1), generator=generator)
    return {
        "old_log_prob": old_log_prob.to(dtype),
        "log_prob": moved.to(dtype).requires_grad_(),
        "advantages": torch.randn(batch, length, generator=generator, dtype=torch.float64).to(dtype),
        "response_mask": torch.arange(length)[None] < lengths,
    }
