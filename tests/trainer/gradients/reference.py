# SPDX-License-Identifier: Apache-2.0
"""The loss of a whole mini-batch, its gradient and its diagnostics, straight from the equations of the paper (arXiv
2508.07629), with autograd, one sample at a time: no padding, no micro-batch, no rank; nothing of verl, nothing of ours.

Numbers are float64 wherever the model is. It does not clamp log-ratios as verl's losses do, so keep |log δ| < 20.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import Qwen3ForCausalLM
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm


@dataclass
class Sample:
    """One response with its prompt. The tensors, all (response_length,), but `prompt`, (prompt_length,).

    A row of `padding` fills a mini-batch up; the equations know no such thing, so it is skipped here. `mini_batch` is
    the number of the mini-batch that it belongs to.
    """

    prompt: torch.Tensor
    response: torch.Tensor
    live: torch.Tensor
    old_log_prob: torch.Tensor
    advantages: torch.Tensor
    entropy: torch.Tensor
    positive: bool = False
    padding: bool = False
    uid: str = ""
    mini_batch: int = 0


@dataclass(frozen=True)
class Objective:
    """L = L_policy + α L_LM (Eq. 14)."""

    mode: str = "gppo"
    beta1: float = 1.0
    beta2: float = 1.0
    dual_clip: str = "off"
    alpha: float = 0.1
    agg: str = "token-mean"
    eps_low: float = 0.2
    eps_high: float = 0.28
    c: float = 10.0


@dataclass
class Result:
    """Of one mini-batch: the gradient by parameter name, the two losses, Σ|∂L_policy/∂log π| over its live tokens, and
    the diagnostics by name."""

    gradient: dict[str, torch.Tensor]
    policy_loss: float
    lm_loss: float
    gradient_mass: float
    diagnostics: dict[str, float]


class ExactRMSNorm(Qwen3RMSNorm):
    """In the input's own precision. transformers' computes in float32 whatever comes in, which would round a float64
    model to seven digits between any two layers."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(…, hidden_size) to the same."""
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        return self.weight * (hidden_states * torch.rsqrt(variance + self.variance_epsilon))


def load(path: Path) -> torch.nn.Module:
    """The model in float64, norms included."""
    model = Qwen3ForCausalLM.from_pretrained(path, dtype=torch.float64, attn_implementation="sdpa")
    for module in model.modules():
        if isinstance(module, Qwen3RMSNorm):
            module.__class__ = ExactRMSNorm
    return model


def log_probs(model: torch.nn.Module, sample: Sample) -> torch.Tensor:
    """log π_θ of the response's tokens, (response_length,)."""
    tokens = torch.cat([sample.prompt, sample.response])
    logits = model(input_ids=tokens[None]).logits[0]
    chosen = logits.log_softmax(-1)[:-1].gather(-1, tokens[1:, None])[:, 0]
    return chosen[len(sample.prompt) - 1 :]


def evaluate(model: torch.nn.Module, samples: Sequence[Sample], objective: Objective) -> Result:
    """The loss of `samples` as one mini-batch, its gradient and its diagnostics."""
    rows = [sample for sample in samples if not sample.padding and sample.live.any()]
    model.zero_grad()
    log_prob = [log_probs(model, sample) for sample in rows]
    policy = _policy_loss(log_prob, rows, objective)
    lm = _lm_loss(log_prob, rows)
    derivatives = torch.autograd.grad(policy, log_prob, retain_graph=True)
    (policy + objective.alpha * lm).backward()
    gradient = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    mass = sum(float(own[row.live].abs().sum()) for own, row in zip(derivatives, rows, strict=True))
    return Result(gradient, policy.item(), lm.item(), mass, _diagnostics(log_prob, derivatives, rows, objective))


def updated(
    model: torch.nn.Module, mini_batches: Sequence[Sequence[Sample]], objective: Objective, lr: float
) -> tuple[dict[str, torch.Tensor], list[float]]:
    """The weights after one AdamW step per mini-batch, gradients clipped to norm 1 (the paper's), and the norm of each
    gradient. The model itself is left as it is."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.999), weight_decay=0.01)
    norms = []
    for samples in mini_batches:
        evaluate(model, samples, objective)
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        optimizer.step()
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}, norms


def _policy_loss(log_prob: list[torch.Tensor], rows: list[Sample], objective: Objective) -> torch.Tensor:
    """Minus the objective, as the mean over all live tokens, or over responses of the mean over live tokens."""
    per_row = [
        -OBJECTIVES[objective.mode](own[row.live], row.old_log_prob[row.live], row.advantages[row.live], objective)
        for own, row in zip(log_prob, rows, strict=True)
    ]
    if objective.agg == "token-mean":
        return torch.cat(per_row).mean()
    return torch.stack([tokens.mean() for tokens in per_row]).mean()


def _lm_loss(log_prob: list[torch.Tensor], rows: list[Sample]) -> torch.Tensor:
    """Eq. 13 with log π: minus the mean over all live tokens of the correct responses; 0 if there are none."""
    tokens = [own[row.live] for own, row in zip(log_prob, rows, strict=True) if row.positive]
    return -torch.cat(tokens).mean() if tokens else torch.zeros((), dtype=log_prob[0].dtype)


def _gppo(new: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor, own: Objective) -> torch.Tensor:
    ratio = torch.exp(new - old)
    if (own.beta1, own.beta2) == (1, 1):  # Eq. 11
        lowest, highest = ((1 - own.eps_low) / ratio.detach() * ratio, (1 + own.eps_high) / ratio.detach() * ratio)
        clipped = torch.minimum(torch.maximum(ratio, lowest), highest)
        value = torch.minimum(ratio * advantages, clipped * advantages)
    else:  # Eq. 17
        one = ratio / ratio.detach()
        value = ratio * advantages
        below, above = ratio < 1 - own.eps_low, ratio > 1 + own.eps_high
        value = torch.where(below & (advantages < 0), own.beta1 * (1 - own.eps_low) * one * advantages, value)
        value = torch.where(above & (advantages > 0), own.beta2 * (1 + own.eps_high) * one * advantages, value)
    if own.dual_clip == "off":
        return value
    bound = own.c * advantages
    if own.dual_clip == "preserve":
        bound = bound * ratio / ratio.detach()
    return torch.where((advantages < 0) & (ratio > own.c), bound, value)


def _clip_higher(new: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor, own: Objective) -> torch.Tensor:
    """PPO with clip-higher, and dual clip as verl's `vanilla` always has it (arXiv 1912.09729)."""
    ratio = torch.exp(new - old)
    value = torch.minimum(ratio * advantages, ratio.clamp(1 - own.eps_low, 1 + own.eps_high) * advantages)
    return torch.where(advantages < 0, torch.maximum(value, own.c * advantages), value)


def _cispo(new: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor, own: Objective) -> torch.Tensor:
    """Eq. 16."""
    weight = torch.exp(new - old).clamp(1 - own.eps_low, 1 + own.eps_high).detach()
    return weight * advantages * new


OBJECTIVES = {"gppo": _gppo, "vanilla": _clip_higher, "cispo": _cispo}


def _diagnostics(
    log_prob: list[torch.Tensor], derivatives: Sequence[torch.Tensor], rows: list[Sample], own: Objective
) -> dict[str, float]:
    """What docs/concepts say each metric is, token by token over the mini-batch."""
    log_ratio = torch.cat(
        [(new.detach() - row.old_log_prob)[row.live] for new, row in zip(log_prob, rows, strict=True)]
    )
    advantages = torch.cat([row.advantages[row.live] for row in rows])
    entropy = torch.cat([row.entropy[row.live] for row in rows])
    dloss_dlogp = torch.cat([part[row.live] for part, row in zip(derivatives, rows, strict=True)]).abs()
    ratio = log_ratio.exp()
    below, above = ratio < 1 - own.eps_low, ratio > 1 + own.eps_high
    regions = {
        "below_neg": below & (advantages < 0),
        "above_pos": above & (advantages > 0),
        "below_pos": below & (advantages > 0),
        "above_neg": above & (advantages < 0),
        "inside": ~below & ~above,
    }
    bounded = own.mode == "vanilla" or (own.mode == "gppo" and own.dual_clip != "off")
    dual = (advantages < 0) & (ratio > own.c) & bounded
    found = {f"actor/gppo/frac_{name}": tokens.double().mean() for name, tokens in regions.items()}
    found |= {
        f"actor/gppo/grad_share_{name}": dloss_dlogp[tokens].sum() / dloss_dlogp.sum()
        for name, tokens in regions.items()
    }
    found["actor/ppo_kl"] = -log_ratio.mean()
    found["actor/pg_clipfrac"] = (regions["below_neg"] | regions["above_pos"]).double().mean()
    found["actor/pg_clipfrac_lower"] = dual.double().mean()
    for name, tokens in (("above_pos", regions["above_pos"]), ("rest", ~regions["above_pos"])):
        if tokens.any():
            found[f"actor/gppo/entropy_{name}"] = entropy[tokens].mean()
    return {name: float(value) for name, value in found.items()}
