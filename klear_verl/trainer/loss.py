# SPDX-License-Identifier: Apache-2.0
"""The loss function that the klear trainers hand to verl's workers: verl's own `ppo_loss` (policy loss, entropy, KL),
plus the language-model loss on correct rollouts, plus exact diagnostics.

L = L_policy + α L_LM (arXiv 2508.07629, Eq. 14). Everything is a partial sum over a micro-batch of a quantity of the
whole mini-batch, so that gradient and metrics do not depend on micro-batches, ranks or sequence parallelism.

A worker sees one micro-batch, so what belongs to the whole mini-batch travels with each sample (`SAMPLE_FIELDS`), put
there by the trainer, which lays the mini-batches out.
"""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict
from verl.trainer.ppo.core_algos import get_policy_loss_fn
from verl.utils import tensordict_utils as tu
from verl.utils.metric import AggregationType, Metric
from verl.workers.config import ActorConfig, CriticConfig
from verl.workers.utils.losses import ppo_loss, value_loss
from verl.workers.utils.padding import no_padding_2_padding

from klear_verl.algorithm.clip_regions import ClipRegions, region_sums
from klear_verl.algorithm.config import ClipRange, DualClip, GPPOLossConfig
from klear_verl.algorithm.positive_lm import positive_lm_loss
from klear_verl.trainer.non_finite import stop_on_non_finite

POSITIVE = "klear_positive"
POSITIVE_TOKENS = "klear_positive_tokens"
LIVE_RESPONSES = "klear_live_responses"
SAMPLE_FIELDS = (POSITIVE, POSITIVE_TOKENS, LIVE_RESPONSES)
"""Per sample, (batch_size,): whether it is a correct response; and, the same for all samples of a mini-batch, the
tokens of its correct responses and the number of its responses that train."""


def klear_loss(
    config: ActorConfig,
    positive_lm_coef: float,
    samples_dir: str,
    model_output: dict[str, Any],
    data: TensorDict,
    dp_group: Any = None,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """The loss of one micro-batch, in verl's convention for `set_loss_fn`.

    Args:
        config: the actor's configuration, with `policy_loss.positive_lm_coef` 0 (`GPPOLossConfig.without_positive_lm`).
        positive_lm_coef: α.
        samples_dir: where a sample with a non-finite log-probability is saved.
        model_output: verl's, with nested `log_probs`, (batch_size, prompt + response).
        data: verl's micro-batch with SAMPLE_FIELDS.

    Returns:
        The loss to call backward on, and verl's metrics with ours.

    Raises:
        NonFiniteLogProb: the model, or the rollout, gave a log-probability that is NaN or infinite.
    """
    _put_denominators(data)
    loss, metrics = ppo_loss(config=config, model_output=model_output, data=data, dp_group=dp_group)

    batch = data.select(
        "response_mask", "old_log_probs", "advantages", *_present(data, "rollout_is_weights", "entropy")
    )
    batch = batch.to_padded_tensor()
    log_prob = no_padding_2_padding(model_output["log_probs"], data)
    metrics |= _diagnostics(config, log_prob, batch, data, samples_dir)
    if positive_lm_coef:
        positive_loss = positive_lm_loss(
            log_prob,
            batch["response_mask"],
            data[POSITIVE],
            _mini_batch_constant(data, POSITIVE_TOKENS),
            data["dp_size"],
        )
        loss = loss + positive_lm_coef * positive_loss
        metrics["actor/positive_lm_loss"] = Metric(AggregationType.SUM, positive_loss)
    return loss, metrics


def klear_value_loss(
    config: CriticConfig, model_output: dict[str, Any], data: TensorDict, dp_group: Any = None
) -> tuple[torch.Tensor, dict[str, Any]]:
    """verl's `value_loss`, for a critic, with the denominators of `klear_loss`."""
    _put_denominators(data)
    loss, metrics = value_loss(config=config, model_output=model_output, data=data, dp_group=dp_group)
    return loss, metrics


def _put_denominators(data: TensorDict) -> None:
    """verl divides sequence means by the size of the padded mini-batch; the responses that train are what counts. And
    where rollout correction has rejected a whole mini-batch, its loss of 0 must not become 0 / 0."""
    tu.assign_non_tensor(
        data,
        global_batch_size=max(_mini_batch_constant(data, LIVE_RESPONSES), 1),
        batch_num_tokens=max(data["batch_num_tokens"], 1),
    )


def _diagnostics(
    config: ActorConfig, log_prob: torch.Tensor, batch: TensorDict, data: TensorDict, samples_dir: str
) -> dict[str, Metric]:
    """Exact shares of the mini-batch, as `clip_regions` names them; what is a mean over a part of the tokens goes out
    as a mass (`…_mass_…`), which `finish_diagnostics` divides once all parts are added up."""
    slope = _slope(config, log_prob, batch)
    clip = ClipRange.unchecked(config, _dual_clip(config))
    sums = region_sums(
        batch["old_log_probs"],
        log_prob.detach(),
        batch["advantages"],
        batch["response_mask"],
        slope,
        clip,
        batch.get("entropy", None),
    )
    if sums["non_finite"]:
        stop_on_non_finite(samples_dir, "update", log_prob.detach(), batch, data, config.model_config.tokenizer)

    regions = (*ClipRegions._fields[:4], "inside")
    values = {
        "actor/ppo_kl": sums["neg_log_ratio"],
        "actor/pg_clipfrac": sums["count_below_neg"] + sums["count_above_pos"],
        "actor/pg_clipfrac_lower": sums["dual_clipped"],
        **{f"actor/gppo/frac_{name}": sums[f"count_{name}"] for name in regions},
    }
    for name in ("above_pos", "rest"):
        if f"entropy_{name}" in sums:
            values[f"actor/gppo/entropy_mass_{name}"] = sums[f"entropy_{name}"]
    # verl averages a SUM over ranks before it adds up the micro-batches, hence dp_size, as in its agg_loss.
    scale = data["dp_size"] / data["batch_num_tokens"]
    values = {name: value * scale for name, value in values.items()}
    # The slope is the loss's, which has that scale already.
    values |= {f"actor/gppo/grad_mass_{name}": sums[f"slope_{name}"] for name in regions}
    return {name: Metric(AggregationType.SUM, value) for name, value in values.items()}


def finish_diagnostics(metrics: dict[str, Any]) -> None:
    """Turns the masses that `klear_loss` logs into gradient shares and mean entropies, in place, once a step's
    mini-batches have been averaged. A mean over no token is left out."""
    masses = {name: metrics.pop(name) for name in list(metrics) if name.startswith("actor/gppo/grad_mass_")}
    total = sum(masses.values()) or 1.0
    metrics |= {name.replace("grad_mass_", "grad_share_"): mass / total for name, mass in masses.items()}
    share = metrics.get("actor/gppo/frac_above_pos", 0.0)
    for name, tokens in (("above_pos", share), ("rest", 1.0 - share)):
        mass = metrics.pop(f"actor/gppo/entropy_mass_{name}", None)
        if mass is not None and tokens > 0:
            metrics[f"actor/gppo/entropy_{name}"] = mass / tokens


def _slope(config: ActorConfig, log_prob: torch.Tensor, batch: TensorDict) -> torch.Tensor:
    """∂L_policy/∂log π of every token, for any of verl's policy losses, on a copy that leaves the graph alone."""
    leaf = log_prob.detach().requires_grad_()
    with torch.enable_grad():
        loss, _ = get_policy_loss_fn(config.policy_loss.get("loss_mode", "vanilla"))(
            old_log_prob=batch["old_log_probs"],
            log_prob=leaf,
            advantages=batch["advantages"],
            response_mask=batch["response_mask"].bool(),
            loss_agg_mode=config.loss_agg_mode,
            config=config,
            rollout_is_weights=batch.get("rollout_is_weights", None),
        )
        return torch.autograd.grad(loss, leaf)[0]


def _dual_clip(config: ActorConfig) -> DualClip:
    """Whether the policy loss bounds ratios by `clip_ratio_c`: an option of ours, always so in verl's `vanilla`."""
    mode = config.policy_loss.get("loss_mode", "vanilla")
    if mode == "gppo":
        return GPPOLossConfig.from_policy_loss(config.policy_loss).dual_clip
    return "zero_grad" if mode == "vanilla" else "off"


def _mini_batch_constant(data: TensorDict, field: str) -> int:
    """A field that is the same for all samples of the mini-batch."""
    return int(data[field][0])


def _present(data: TensorDict, *fields: str) -> list[str]:
    return [field for field in fields if field in data]
