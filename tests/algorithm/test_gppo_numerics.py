# SPDX-License-Identifier: Apache-2.0
"""Finite for any finite input, in float32 and bfloat16; and a broken live token is not hidden."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from klear_verl.algorithm import GPPOLossConfig, compute_policy_loss_gppo
from tests.algorithm.gppo_reference import actor_config, random_batch

FLOAT32 = st.floats(allow_nan=False, allow_infinity=False, width=32)
# 8 significant bits: exactly representable in bfloat16, up to its largest value.
BFLOAT16 = st.builds(
    lambda mantissa, exponent: math.ldexp(mantissa, exponent), st.integers(-255, 255), st.integers(-133, 120)
)
DUAL_CLIPS = st.sampled_from(["off", "zero_grad", "preserve"])
MODES = st.sampled_from(["token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean"])


def assert_finite(rows, dtype, dual_clip, mode):
    old_log_prob, log_prob, advantages, weights = torch.tensor(rows, dtype=dtype).T[:, None]
    assert torch.isfinite(log_prob).all(), "the test must offer finite inputs"
    log_prob.requires_grad_()
    loss, metrics = compute_policy_loss_gppo(
        old_log_prob,
        log_prob,
        advantages,
        torch.ones_like(log_prob, dtype=torch.bool),
        mode,
        actor_config(GPPOLossConfig(dual_clip=dual_clip)),
        weights,
    )
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(log_prob.grad).all()
    assert all(math.isfinite(value) for value in metrics.values())
    assert log_prob.grad.dtype == dtype


@given(st.lists(st.tuples(FLOAT32, FLOAT32, FLOAT32, FLOAT32), min_size=1, max_size=8), DUAL_CLIPS, MODES)
@settings(max_examples=300, deadline=None)
def test_loss_gradient_and_metrics_are_finite_for_any_finite_float32(rows, dual_clip, mode):
    assert_finite(rows, torch.float32, dual_clip, mode)


@given(st.lists(st.tuples(BFLOAT16, BFLOAT16, BFLOAT16, BFLOAT16), min_size=1, max_size=8), DUAL_CLIPS, MODES)
@settings(max_examples=300, deadline=None)
def test_loss_gradient_and_metrics_are_finite_for_any_finite_bfloat16(rows, dual_clip, mode):
    assert_finite(rows, torch.bfloat16, dual_clip, mode)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("log_prob, advantage", [(-1e4, 1e4), (-1e4, -1e4), (1e4, 1e4), (1e4, -1e4)])
def test_a_token_at_ten_thousand_nats_is_finite(dtype, log_prob, advantage):
    assert_finite([(0.0, log_prob, advantage, 1.0)], dtype, "off", "token-mean")


def test_beyond_twenty_nats_the_gradient_factor_stays_at_exp_twenty():
    log_prob = torch.tensor([[50.0]], requires_grad=True)
    mask = torch.ones(1, 1, dtype=torch.bool)
    loss, _ = compute_policy_loss_gppo(
        torch.zeros(1, 1), log_prob, torch.tensor([[-1.0]]), mask, "token-mean", actor_config()
    )
    loss.backward()
    assert log_prob.grad.item() == pytest.approx(4.851652e8, rel=1e-6)  # e^20


@pytest.mark.parametrize("broken", ["old_log_prob", "log_prob", "advantages"])
def test_a_nan_in_a_live_token_reaches_the_loss(broken):
    batch = {name: tensor.detach().clone() for name, tensor in random_batch().items()}
    batch[broken][0, 0] = float("nan")
    loss, _ = compute_policy_loss_gppo(**batch, loss_agg_mode="token-mean", config=actor_config())
    assert torch.isnan(loss)


def test_bfloat16_log_probs_are_computed_in_float32():
    batch = random_batch(dtype=torch.bfloat16)
    loss, _ = compute_policy_loss_gppo(**batch, loss_agg_mode="token-mean", config=actor_config())
    widened = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in batch.items()}
    expected, _ = compute_policy_loss_gppo(**widened, loss_agg_mode="token-mean", config=actor_config())
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)


def test_works_without_autograd():
    with torch.no_grad():
        loss, _ = compute_policy_loss_gppo(**random_batch(), loss_agg_mode="token-mean", config=actor_config())
    assert not loss.requires_grad
