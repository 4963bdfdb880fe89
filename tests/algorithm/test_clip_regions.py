# SPDX-License-Identifier: Apache-2.0
"""What is logged about the clip regions, on batches small enough to count by hand (ε_l = 0.2, ε_h = 0.28)."""

import math

import pytest
import torch
from verl.trainer.ppo.core_algos import get_policy_loss_fn
from verl.utils.metric import AggregationType, Metric

from klear_verl.algorithm import GPPOLossConfig, compute_policy_loss_gppo, region_sums, token_ratios
from klear_verl.algorithm.clip_regions import clip_regions
from klear_verl.algorithm.config import ClipRange
from tests.algorithm.gppo_reference import actor_config, random_batch

# Per token: ratio, advantage. |F·Ã| by hand: 0.8, 2.56, 0.5, 4, 1, 1, 0, and one masked token. Their sum is 9.86.
TOKENS = [(0.5, -1.0), (2.0, 2.0), (0.5, 1.0), (2.0, -2.0), (1.0, 1.0), (1.0, -1.0), (3.0, 0.0), (9.0, 9.0)]


def metrics_of(tokens, n_masked=1, policy_loss=None, **actor):
    ratio, advantages = torch.tensor(tokens, dtype=torch.float64).T[:, None]
    live = torch.ones_like(ratio, dtype=torch.bool)
    live[:, len(tokens) - n_masked :] = False
    _, metrics = compute_policy_loss_gppo(
        torch.zeros_like(ratio), ratio.log(), advantages, live, "token-mean", actor_config(policy_loss, **actor)
    )
    return metrics


@pytest.mark.parametrize(
    "region, tokens, gradient",
    [("below_neg", 1, 0.8), ("above_pos", 1, 2.56), ("below_pos", 1, 0.5), ("above_neg", 1, 4.0), ("inside", 2, 2.0)],
)
def test_token_fraction_and_gradient_share_of(region, tokens, gradient):
    metrics = metrics_of(TOKENS)
    assert metrics[f"actor/gppo/frac_{region}"] == pytest.approx(tokens / 7)
    assert metrics[f"actor/gppo/grad_share_{region}"] == pytest.approx(gradient / 9.86)


def test_gradient_shares_sum_to_one():
    metrics = metrics_of(TOKENS)
    assert sum(value for name, value in metrics.items() if "grad_share" in name) == pytest.approx(1.0)


def test_fractions_miss_one_by_the_tokens_outside_without_advantage():
    metrics = metrics_of(TOKENS)
    assert sum(value for name, value in metrics.items() if "/frac_" in name) == pytest.approx(1 - 1 / 7)


def test_gradient_shares_are_zero_when_no_token_has_an_advantage():
    metrics = metrics_of([(2.0, 0.0), (0.5, 0.0), (1.0, 0.0)], n_masked=0)
    assert all(value == 0 for name, value in metrics.items() if "grad_share" in name)


def test_ppo_kl_is_the_mean_of_minus_log_ratio():
    by_hand = -(math.log(0.5) + math.log(2) + math.log(0.5) + math.log(2) + 0 + 0 + math.log(3)) / 7
    assert metrics_of(TOKENS)["actor/ppo_kl"] == pytest.approx(by_hand)


def test_dual_clip_fraction_counts_negative_advantages_above_c():
    options = GPPOLossConfig(dual_clip="preserve")
    assert metrics_of(TOKENS, policy_loss=options, clip_ratio_c=1.5)["actor/pg_clipfrac_lower"] == pytest.approx(1 / 7)


def test_tokens_dual_clip_silences_have_no_gradient_share():
    metrics = metrics_of(TOKENS, policy_loss=GPPOLossConfig(dual_clip="zero_grad"), clip_ratio_c=1.5)
    assert metrics["actor/gppo/grad_share_above_neg"] == 0
    assert metrics["actor/gppo/grad_share_above_pos"] == pytest.approx(2.56 / 5.86)


def test_clipfrac_and_kl_equal_those_of_verls_vanilla():
    batch = random_batch()
    _, ours = compute_policy_loss_gppo(**batch, loss_agg_mode="token-mean", config=actor_config())
    _, verls = get_policy_loss_fn("vanilla")(**batch, loss_agg_mode="token-mean", config=actor_config())
    for name in ("actor/pg_clipfrac", "actor/ppo_kl"):
        assert ours[name] == pytest.approx(verls[name], rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_ratio_exactly_on_a_bound_is_inside(dtype):
    ratio = torch.tensor([1 - 0.2, 1 + 0.28, 1 - 0.2, 1 + 0.28], dtype=dtype)
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=dtype)
    assert not torch.stack(clip_regions(ratio, advantages, 0.2, 0.28)).any()


def test_metrics_are_what_verl_aggregates():
    metrics = Metric.from_dict(metrics_of(TOKENS), aggregation=AggregationType.MEAN)
    assert metrics["actor/gppo/frac_inside"].aggregate() == pytest.approx(2 / 7)


def test_every_batch_logs_the_same_names():
    empty = metrics_of(TOKENS, n_masked=len(TOKENS))
    assert (
        set(empty)
        == set(metrics_of(TOKENS))
        == set(metrics_of(TOKENS, policy_loss=GPPOLossConfig(dual_clip="preserve")))
    )


# Two responses of three tokens; the last token of the second is masked and holds nonsense.
SUMS = {
    "ratio": [[2.0, 3.0, 2.0], [1.0, 0.5, 9.0]],
    "advantages": [[1.0, 1.0, -1.0], [1.0, 1.0, 1.0]],
    "entropy": [[3.0, 5.0, 1.0], [2.0, 0.0, float("nan")]],
    "dloss_dlogp": [[-1.28, -1.28, 2.0], [-1.0, -0.5, float("nan")]],
    "live": [[1, 1, 1], [1, 1, 0]],
}


def sums_of(rows=slice(None), c=None, **changed):
    fields = {name: torch.tensor(values)[rows] for name, values in (SUMS | changed).items()}
    log_prob = fields["ratio"].log()
    clip = ClipRange(0.2, 0.28, c)
    tokens = token_ratios(torch.zeros_like(log_prob), log_prob, fields["advantages"], fields["live"], clip)
    return region_sums(tokens, fields["dloss_dlogp"], fields["entropy"])


def test_sums_over_the_live_tokens_of_each_region():
    sums = sums_of()
    assert (sums["tokens"], sums["count_above_pos"], sums["count_above_neg"], sums["count_below_pos"]) == (5, 2, 1, 1)
    assert (sums["count_below_neg"], sums["count_inside"], sums["non_finite"], sums["dual_clipped"]) == (0, 1, 0, 0)
    assert sums["gradient_above_pos"] == pytest.approx(2.56)
    assert sums["gradient_inside"] == pytest.approx(1.0)
    assert sums["neg_log_ratio"] == pytest.approx(-math.log(2 * 3 * 2 * 1 * 0.5), rel=1e-6)


def test_entropy_of_tokens_clipped_high_against_the_rest():
    sums = sums_of()
    assert (sums["entropy_above_pos"], sums["entropy_rest"]) == (8.0, 3.0)


def test_sums_of_the_parts_add_up_to_the_sums_of_the_whole():
    first, second, whole = sums_of(slice(0, 1)), sums_of(slice(1, 2)), sums_of()
    assert {name: pytest.approx(first[name] + second[name], abs=1e-12) for name in whole} == whole


def test_dual_clip_counts_where_the_ratio_exceeds_c_against_a_negative_advantage():
    assert sums_of(c=1.5)["dual_clipped"] == 1
    assert sums_of(c=2.5)["dual_clipped"] == 0


def test_live_log_probabilities_that_are_not_finite_are_counted():
    assert sums_of(ratio=[[2.0, 0.0, 2.0], [1.0, 0.5, 0.0]])["non_finite"] == 1
