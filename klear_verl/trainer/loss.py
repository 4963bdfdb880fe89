# SPDX-License-Identifier: Apache-2.0
"""The loss function that the klear trainers hand to verl's workers: verl's `ppo_loss` (policy loss, entropy, KL) plus
the language-model loss on correct rollouts, with exact diagnostics of the policy loss.

L = L_policy + α L_LM (arXiv 2508.07629, Eq. 14). Everything is a partial sum over a micro-batch of a quantity of the
whole mini-batch, so that gradient and metrics do not depend on micro-batches, ranks or sequence parallelism.

The terms of verl's `ppo_loss` are put together here, from verl's own functions, because it keeps to itself what the
diagnostics look at (the policy loss's derivative), and to ask again would be to compute that loss twice. With the hook
of upstream/policy_loss_fn.patch this becomes a call of `ppo_loss`; a test holds the two to the same numbers.

A worker sees one micro-batch, so what belongs to the whole mini-batch travels with each sample (`SAMPLE_FIELDS`), put
there by the trainer, which packs the mini-batches.

A log-probability that is NaN or infinite ends the run, with the samples saved: a model that produces one is broken, and
every further step would train on noise.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from tensordict import TensorDict
from verl.trainer.ppo.core_algos import agg_loss, get_policy_loss_fn, kl_penalty
from verl.utils import tensordict_utils as tu
from verl.utils.metric import AggregationType, Metric
from verl.workers.config import ActorConfig, CriticConfig
from verl.workers.utils.losses import value_loss
from verl.workers.utils.padding import no_padding_2_padding

from klear_verl.algorithm.clip_regions import REGIONS, TokenRatios, region_sums, token_ratios
from klear_verl.algorithm.config import ClipRange, DualClip
from klear_verl.algorithm.derivative import differentiate_once
from klear_verl.algorithm.gppo import gppo_loss
from klear_verl.algorithm.positive_lm import positive_lm_loss
from klear_verl.errors import KlearError
from klear_verl.utils.files import write_json

POSITIVE = "klear_positive"
POSITIVE_TOKENS = "klear_positive_tokens"
LIVE_RESPONSES = "klear_live_responses"
DENOMINATORS = ("batch_num_tokens", "global_batch_size")
"""What verl divides by: the live tokens, or the responses, of the mini-batch."""
SAMPLE_FIELDS = (POSITIVE, POSITIVE_TOKENS, LIVE_RESPONSES)
"""Per sample, (batch_size,): whether it is a correct response; and, the same for all samples of a mini-batch, the
tokens of its correct responses and the number of its responses that train."""


MAX_SAVED = 8
"""Samples saved per file: enough to see what they share."""


class NonFiniteLogProb(KlearError):
    """The policy's or the rollout's log-probability of a token is NaN or infinite."""


class NonFiniteGradient(KlearError):
    """The gradient norm of an update is NaN or infinite."""


class PolicyLoss(NamedTuple):
    """The policy loss of a micro-batch, evaluated once: the scalar to call backward on, its derivative with respect to
    each log-probability, (batch_size, response_length), the tokens as it saw them, and its own metrics."""

    loss: torch.Tensor
    dloss_dlogp: torch.Tensor
    tokens: TokenRatios
    metrics: dict[str, float]


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
        config: the actor's configuration, with its `model_config`.
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
    config.global_batch_info.update({name: data[name] for name in ("dp_size", *DENOMINATORS)})
    config.global_batch_info["loss_scale_factor"] = config.loss_scale_factor
    log_prob = no_padding_2_padding(model_output["log_probs"], data)
    fields = ["response_mask", "old_log_probs", "advantages"]
    fields += [name for name in ("rollout_is_weights", "ref_log_prob", "entropy") if name in data]
    batch = data.select(*fields).to_padded_tensor()

    policy = _policy_loss(config, log_prob, batch)
    metrics = Metric.from_dict(policy.metrics, aggregation=AggregationType.MEAN)
    metrics |= _diagnostics(config, policy, log_prob, batch, data, samples_dir)
    metrics["actor/pg_loss"] = Metric(AggregationType.SUM, policy.loss)
    loss = policy.loss + _entropy_and_kl(config, model_output, log_prob, batch, data, metrics)
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
    tokens, responses = data["batch_num_tokens"], _mini_batch_constant(data, LIVE_RESPONSES)
    tu.assign_non_tensor(data, batch_num_tokens=max(tokens, 1), global_batch_size=max(responses, 1))


def _policy_loss(config: ActorConfig, log_prob: torch.Tensor, batch: TensorDict) -> PolicyLoss:
    """L_policy, whichever of verl's policy losses `loss_mode` names."""
    mode = config.policy_loss.get("loss_mode", "vanilla")
    arguments = {
        "old_log_prob": batch["old_log_probs"],
        "advantages": batch["advantages"],
        "response_mask": batch["response_mask"].bool(),
    }
    more = {
        "loss_agg_mode": config.loss_agg_mode,
        "config": config,
        "rollout_is_weights": batch.get("rollout_is_weights", None),
    }
    if mode == "gppo":
        loss, dloss_dlogp, tokens = differentiate_once(
            lambda leaf: gppo_loss(log_prob=leaf, **arguments, **more), log_prob
        )
        return PolicyLoss(loss, dloss_dlogp, tokens, {})
    function = get_policy_loss_fn(mode)
    loss, dloss_dlogp, metrics = differentiate_once(lambda leaf: function(log_prob=leaf, **arguments, **more), log_prob)
    # Not checked: other losses have conventions of their own for the band.
    clip = ClipRange.unchecked(config, _dual_clip(mode))
    return PolicyLoss(loss, dloss_dlogp, token_ratios(log_prob=log_prob, clip=clip, **arguments), metrics)


def _entropy_and_kl(
    config: ActorConfig,
    model_output: dict[str, Any],
    log_prob: torch.Tensor,
    batch: TensorDict,
    data: TensorDict,
    metrics: dict[str, Any],
) -> torch.Tensor | float:
    """What else verl's `ppo_loss` adds: the entropy bonus, where the model's entropy was computed, and the KL term.
    Puts verl's metrics of both into `metrics`."""
    terms: torch.Tensor | float = 0.0
    mean = {"loss_mask": batch["response_mask"].bool(), "loss_agg_mode": config.loss_agg_mode}
    if model_output.get("entropy") is not None:
        entropy = no_padding_2_padding(model_output["entropy"], data)
        entropy_loss = agg_loss(loss_mat=entropy, **mean, **config.global_batch_info)
        metrics["actor/entropy_loss"] = Metric(AggregationType.SUM, entropy_loss)
        terms = terms - config.entropy_coeff * entropy_loss
    if config.use_kl_loss:
        kl = kl_penalty(logprob=log_prob, ref_logprob=batch["ref_log_prob"], kl_penalty=config.kl_loss_type)
        kl_loss = agg_loss(loss_mat=kl, **mean, **config.global_batch_info)
        metrics["kl_loss"] = Metric(AggregationType.SUM, kl_loss)
        metrics["kl_coef"] = config.kl_loss_coef
        terms = terms + config.kl_loss_coef * kl_loss
    return terms


def _diagnostics(
    config: ActorConfig,
    policy: PolicyLoss,
    log_prob: torch.Tensor,
    batch: TensorDict,
    data: TensorDict,
    samples_dir: str,
) -> dict[str, Metric]:
    """Exact shares of the mini-batch, as `clip_regions` names them; what is a mean over a part of the tokens goes out
    as a mass (`…_mass_…`), which `finish_diagnostics` divides once all parts are added up."""
    sums = region_sums(policy.tokens, policy.dloss_dlogp, batch.get("entropy", None))
    if sums["non_finite"]:
        stop_on_non_finite(samples_dir, "update", log_prob.detach(), batch, data, config.model_config.tokenizer)

    values = {
        "actor/ppo_kl": sums["neg_log_ratio"],
        "actor/pg_clipfrac": sums["count_below_neg"] + sums["count_above_pos"],
        "actor/pg_clipfrac_lower": sums["dual_clipped"],
        **{f"actor/gppo/frac_{name}": sums[f"count_{name}"] for name in REGIONS},
    }
    for name in ("above_pos", "rest"):
        if f"entropy_{name}" in sums:
            values[f"actor/gppo/entropy_mass_{name}"] = sums[f"entropy_{name}"]
    # verl averages a SUM over ranks before it adds up the micro-batches, hence dp_size, as in its agg_loss.
    scale = data["dp_size"] / data["batch_num_tokens"]
    values = {name: value * scale for name, value in values.items()}
    # The derivative is the loss's, which has that scale already.
    values |= {f"actor/gppo/grad_mass_{name}": sums[f"gradient_{name}"] for name in REGIONS}
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


def _dual_clip(mode: str) -> DualClip:
    """Whether verl's loss of that name bounds ratios by `clip_ratio_c`."""
    return "zero_grad" if mode == "vanilla" else "off"


def _mini_batch_constant(data: TensorDict, field: str) -> int:
    """A field that is the same for all samples of the mini-batch."""
    return int(data[field][0])


def stop_on_non_finite(
    samples_dir: str, stage: str, log_prob: torch.Tensor, batch: TensorDict, data: TensorDict, tokenizer: Any
) -> NoReturn:
    """Saves the live tokens' samples that have a non-finite log-probability and raises.

    Args:
        samples_dir: the folder to write into (of the run; made if missing).
        stage: "update", or the field that it stands in: which forward pass.
        log_prob: of that pass, (batch_size, response_length).
        batch: padded `response_mask`, `old_log_probs` and `advantages` (the latter two where computed already).
        data: nested `prompts` and `responses`, and verl's other fields.
        tokenizer: to write the sample as text too.

    Raises:
        NonFiniteLogProb: always; names file and sample.
    """
    live = batch["response_mask"].bool()
    old = batch.get("old_log_probs", log_prob)
    broken = live & ~(torch.isfinite(log_prob) & torch.isfinite(old))
    rows = torch.nonzero(broken.any(dim=-1)).flatten().tolist()
    prompts, responses = data["prompts"].unbind(), data["responses"].unbind()
    uids = list(data["uid"]) if "uid" in data else None
    saved = []
    for row in rows[:MAX_SAVED]:
        length = responses[row].numel()
        sample = {
            "uid": uids[row] if uids else None,
            "first_bad_token": int(torch.nonzero(broken[row])[0]),
            "prompt_ids": prompts[row].tolist(),
            "response_ids": responses[row].tolist(),
            "log_probs": log_prob[row, :length].float().tolist(),
            "old_log_probs": old[row, :length].float().tolist(),
        }
        if "advantages" in batch:
            sample["advantages"] = batch["advantages"][row, :length].float().tolist()
        sample["prompt"] = tokenizer.decode(sample["prompt_ids"])
        sample["response"] = tokenizer.decode(sample["response_ids"])
        saved.append(sample)
    path = _write(Path(samples_dir), stage, saved)
    raise NonFiniteLogProb(
        f"{len(rows)} of {live.shape[0]} samples have a NaN or infinite log-probability ({stage}); the first is token "
        f"{saved[0]['first_bad_token']} of a response of {len(saved[0]['response_ids'])} tokens",
        f"the samples are saved in {path}; check the model's weights, the learning rate and the numeric type, and go "
        "on from the last checkpoint",
    )


def _write(folder: Path, stage: str, samples: list[dict[str, Any]]) -> Path:
    """JSON's extension NaN and Infinity, which Python reads back."""
    path = folder / f"{stage}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.json"
    write_json(path, samples, indent=1)
    return path
