# SPDX-License-Identifier: Apache-2.0
"""How tokens add up: over micro-batches and ranks, under masks, and under rollout importance weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from klear_verl.algorithm import compute_policy_loss_gppo
from tests.algorithm.gppo_reference import actor_config, random_batch

NAN, INF = float("nan"), float("inf")
MODES = ["token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"]


def run(batch, mode="token-mean", **global_batch_info):
    config = actor_config()
    config.global_batch_info.update(global_batch_info)
    log_prob = batch["log_prob"].detach().clone().requires_grad_()
    loss, metrics = compute_policy_loss_gppo(**{**batch, "log_prob": log_prob}, loss_agg_mode=mode, config=config)
    loss.backward()
    return loss.detach(), log_prob.grad, metrics


def rows(batch, indices):
    return {name: tensor[indices] for name, tensor in batch.items()}


@given(owner=st.lists(st.integers(0, 4), min_size=6, max_size=6), seed=st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_any_split_into_micro_batches_gives_the_gradient_of_the_whole(owner, seed):
    batch = random_batch(batch=6, seed=seed)
    tokens = int(batch["response_mask"].sum())
    whole_loss, whole_gradient, _ = run(batch)
    total, gradient = 0.0, torch.zeros_like(whole_gradient)
    for micro in set(owner):
        indices = [row for row in range(6) if owner[row] == micro]
        loss, part, _ = run(rows(batch, indices), dp_size=1, batch_num_tokens=tokens)
        total += loss
        gradient[indices] = part
    torch.testing.assert_close(total, whole_loss)
    torch.testing.assert_close(gradient, whole_gradient)


@pytest.mark.parametrize("ranks", [2, 3])
def test_mean_over_ranks_gives_the_gradient_of_the_whole(ranks):
    batch = random_batch(batch=6)
    tokens = int(batch["response_mask"].sum())
    whole_loss, whole_gradient, _ = run(batch)
    parts = [
        run(rows(batch, list(range(rank, 6, ranks))), dp_size=ranks, batch_num_tokens=tokens) for rank in range(ranks)
    ]
    # Data-parallel training averages losses and gradients over ranks.
    torch.testing.assert_close(sum(loss for loss, _, _ in parts) / ranks, whole_loss)
    for rank, (_, gradient, _) in enumerate(parts):
        torch.testing.assert_close(gradient / ranks, whole_gradient[rank::ranks])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("garbage", [NAN, INF, -INF, 1e30])
def test_what_masked_tokens_hold_never_matters(mode, garbage):
    clean = random_batch(dtype=torch.float32)
    clean["rollout_is_weights"] = torch.rand(6, 40)
    dirty = {name: tensor.detach().clone() for name, tensor in clean.items()}
    for name in ("old_log_prob", "log_prob", "advantages", "rollout_is_weights"):
        dirty[name][~clean["response_mask"]] = garbage
    loss, gradient, metrics = run(dirty, mode)
    expected_loss, expected_gradient, expected_metrics = run(clean, mode)
    assert torch.equal(loss, expected_loss)
    assert torch.equal(gradient, expected_gradient)
    assert metrics == expected_metrics


def test_masked_tokens_get_no_gradient():
    batch = random_batch()
    _, gradient, _ = run(batch)
    assert (gradient[~batch["response_mask"]] == 0).all()
    assert (gradient[batch["response_mask"]] != 0).all()


@pytest.mark.parametrize("mask_dtype", [torch.int64, torch.float32])
def test_a_numeric_mask_means_the_same_as_a_boolean_one(mask_dtype):
    batch = random_batch()
    numeric = {**batch, "response_mask": batch["response_mask"].to(mask_dtype)}
    assert torch.equal(run(batch)[1], run(numeric)[1])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("info", [{}, {"dp_size": 2, "batch_num_tokens": 0, "global_batch_size": 0}])
def test_a_batch_with_every_token_masked_has_zero_loss_and_gradient(mode, info):
    batch = random_batch()
    batch["response_mask"] = torch.zeros_like(batch["response_mask"])
    loss, gradient, metrics = run(batch, mode, **info)
    assert loss == 0
    assert (gradient == 0).all()
    assert set(metrics.values()) == {0.0}


def test_rollout_weights_multiply_each_tokens_loss_and_gradient():
    batch = random_batch()
    weights = torch.rand(6, 40, dtype=torch.float64) * 3
    tokens = int(batch["response_mask"].sum())
    loss, gradient, _ = run({**batch, "rollout_is_weights": weights})
    _, unweighted, _ = run(batch)
    torch.testing.assert_close(gradient, unweighted * weights)
    # Value and derivative of a token coincide (Eq. 12), so the loss is the sum of the gradients.
    torch.testing.assert_close(loss, (unweighted * weights).sum())
    assert tokens > 0


def test_rollout_weights_do_not_move_a_token_to_another_region():
    batch = random_batch()
    fractions = [
        {name: value for name, value in run(b)[2].items() if "frac" in name}
        for b in (batch, {**batch, "rollout_is_weights": torch.zeros(6, 40)})
    ]
    assert fractions[0] == fractions[1]


def test_a_local_mean_is_refused_when_there_are_other_ranks():
    with pytest.raises(ValueError, match="batch_num_tokens is required"):
        run(random_batch(), dp_size=2)


def test_no_gradient_flows_to_old_log_prob_or_advantages():
    batch = random_batch()
    for name in ("old_log_prob", "advantages"):
        batch[name] = batch[name].requires_grad_()
    loss, _ = compute_policy_loss_gppo(**batch, loss_agg_mode="token-mean", config=actor_config())
    loss.backward()
    assert batch["old_log_prob"].grad is None
    assert batch["advantages"].grad is None
