# SPDX-License-Identifier: Apache-2.0
"""GPPO against the paper's equations written literally, and against verl's own losses, over random batches."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from verl.trainer.ppo.core_algos import get_policy_loss_fn

import klear_verl.algorithm.gppo  # noqa: F401  (registers the loss)
from klear_verl.algorithm import GPPOLossConfig
from tests.algorithm.gppo_reference import actor_config, equation_11, equation_17, random_batch


def run(name, batch, policy_loss=None, **actor):
    """Loss and gradient of a registered loss, on fresh leaves."""
    log_prob = batch["log_prob"].detach().clone().requires_grad_()
    loss, _ = get_policy_loss_fn(name)(
        **{**batch, "log_prob": log_prob}, loss_agg_mode="token-mean", config=actor_config(policy_loss, **actor)
    )
    loss.backward()
    return loss.detach(), log_prob.grad


def reference(batch, objective):
    log_prob = batch["log_prob"].detach().clone().requires_grad_()
    tokens = objective(batch["old_log_prob"], log_prob, batch["advantages"])[batch["response_mask"]]
    loss = -tokens.mean()
    loss.backward()
    return loss.detach(), log_prob.grad


seeds = st.integers(0, 2**31)
spreads = st.floats(0.01, 5.0)


@given(seed=seeds, spread=spreads)
@settings(max_examples=50, deadline=None)
def test_value_and_gradient_equal_equation_11_with_stop_gradients(seed, spread):
    batch = random_batch(seed=seed, spread=spread)
    torch.testing.assert_close(run("gppo", batch), reference(batch, equation_11), rtol=1e-10, atol=1e-12)


@given(seed=seeds, beta1=st.floats(0, 2), beta2=st.floats(0, 2))
@settings(max_examples=25, deadline=None)
def test_value_and_gradient_equal_equation_17_for_any_betas(seed, beta1, beta2):
    batch = random_batch(batch=3, length=12, seed=seed)
    expected = reference(batch, lambda *tensors: equation_17(*tensors, beta1, beta2))
    ours = run("gppo", batch, GPPOLossConfig(beta1=beta1, beta2=beta2))
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


@given(seed=seeds, spread=spreads)
@settings(max_examples=50, deadline=None)
def test_value_equals_ppo_with_clip_higher(seed, spread):
    batch = random_batch(seed=seed, spread=spread)
    # verl's vanilla always dual-clips; c beyond every ratio switches that off.
    vanilla, _ = run("vanilla", batch, clip_ratio_c=1e9)
    torch.testing.assert_close(run("gppo", batch)[0], vanilla, rtol=1e-10, atol=1e-12)


@given(seed=seeds)
@settings(max_examples=50, deadline=None)
def test_gradient_with_zero_betas_equals_ppo_with_clip_higher(seed):
    batch = random_batch(seed=seed)
    _, vanilla = run("vanilla", batch, clip_ratio_c=1e9)
    _, ours = run("gppo", batch, GPPOLossConfig(beta1=0.0, beta2=0.0))
    torch.testing.assert_close(ours, vanilla, rtol=1e-10, atol=1e-12)


@given(seed=seeds)
@settings(max_examples=50, deadline=None)
def test_zero_grad_dual_clip_bounds_the_value_as_verls_vanilla_does(seed):
    batch = random_batch(seed=seed, spread=2.0)
    vanilla, _ = run("vanilla", batch, clip_ratio_c=3.0)
    ours, _ = run("gppo", batch, GPPOLossConfig(dual_clip="zero_grad"), clip_ratio_c=3.0)
    torch.testing.assert_close(ours, vanilla, rtol=1e-10, atol=1e-12)


def test_zero_grad_dual_clip_with_zero_betas_has_verls_vanilla_gradient():
    batch = random_batch(spread=2.0)
    _, vanilla = run("vanilla", batch, clip_ratio_c=3.0)
    _, ours = run("gppo", batch, GPPOLossConfig(beta1=0.0, beta2=0.0, dual_clip="zero_grad"), clip_ratio_c=3.0)
    torch.testing.assert_close(ours, vanilla, rtol=1e-10, atol=1e-12)


def test_gradient_of_tokens_that_ppo_drops_equals_cispos():
    batch = random_batch()
    ratio = (batch["log_prob"] - batch["old_log_prob"]).exp()
    dropped = ((ratio < 0.8) & (batch["advantages"] < 0)) | ((ratio > 1.28) & (batch["advantages"] > 0))
    dropped &= batch["response_mask"]
    _, cispo = run("cispo", batch)
    _, ours = run("gppo", batch)
    assert dropped.sum() > 10
    torch.testing.assert_close(ours[dropped], cispo[dropped], rtol=1e-10, atol=1e-12)


def test_gradient_is_the_factor_times_the_gradient_of_log_prob_through_a_model():
    torch.manual_seed(0)
    model, states = torch.nn.Linear(5, 7).double(), torch.randn(4, 9, 5, dtype=torch.float64)
    actions = torch.randint(7, (4, 9))
    batch = random_batch(4, 9, seed=3)

    def log_prob():
        return model(states).log_softmax(-1).gather(-1, actions[..., None])[..., 0]

    batch["old_log_prob"] = log_prob().detach() + 0.5 * torch.randn(4, 9, dtype=torch.float64)
    loss, _ = get_policy_loss_fn("gppo")(
        **{**batch, "log_prob": log_prob()}, loss_agg_mode="token-mean", config=actor_config()
    )
    (ours,) = torch.autograd.grad(loss, model.weight)
    objective = equation_11(batch["old_log_prob"], log_prob(), batch["advantages"])[batch["response_mask"]]
    (expected,) = torch.autograd.grad(-objective.mean(), model.weight)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mode", ["token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean"])
def test_value_equals_vanillas_in_every_aggregation_mode(mode):
    batch = random_batch()
    losses = [
        get_policy_loss_fn(name)(**batch, loss_agg_mode=mode, config=actor_config(clip_ratio_c=1e9))[0]
        for name in ("gppo", "vanilla")
    ]
    torch.testing.assert_close(*losses, rtol=1e-10, atol=1e-12)
