# SPDX-License-Identifier: Apache-2.0
"""The gradient factor F of every region, derived by hand from Eq. 12 and 18 with ε_l = 0.2, ε_h = 0.28.

One token at a time: the loss of a single live token is -F·Ã (or its bound), its gradient -F·Ã.
"""

import math

import pytest
import torch

from klear_verl.algorithm import GPPOLossConfig, compute_policy_loss_gppo
from tests.algorithm.gppo_reference import actor_config


def loss_and_gradient(ratio: float, advantage: float, policy_loss: GPPOLossConfig, **actor: float):
    log_prob = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    loss, metrics = compute_policy_loss_gppo(
        old_log_prob=torch.zeros(1, 1, dtype=torch.float64),
        log_prob=log_prob,
        advantages=torch.tensor([[advantage]], dtype=torch.float64),
        response_mask=torch.ones(1, 1, dtype=torch.bool),
        loss_agg_mode="token-mean",
        config=actor_config(policy_loss, **actor),
    )
    loss.backward()
    return loss.item(), log_prob.grad.item(), metrics


# ratio, advantage, F by hand
PAPER = {
    "below_and_negative_is_one_minus_eps_low": (0.5, -2.0, 0.8),
    "above_and_positive_is_one_plus_eps_high": (2.0, 3.0, 1.28),
    "below_and_positive_is_the_ratio": (0.5, 3.0, 0.5),
    "above_and_negative_is_the_ratio": (2.0, -2.0, 2.0),
    "inside_and_positive_is_the_ratio": (1.1, 3.0, 1.1),
    "inside_and_negative_is_the_ratio": (0.9, -2.0, 0.9),
    "on_policy_is_one": (1.0, -2.0, 1.0),
    "just_below_the_upper_bound_is_the_ratio": (1.2799, 1.0, 1.2799),
    "just_above_the_lower_bound_is_the_ratio": (0.8001, -1.0, 0.8001),
}


@pytest.mark.parametrize("name", PAPER)
def test_factor_where_ratio_is(name):
    ratio, advantage, factor = PAPER[name]
    loss, gradient, _ = loss_and_gradient(ratio, advantage, GPPOLossConfig())
    assert gradient == pytest.approx(-factor * advantage, rel=1e-12)
    assert loss == pytest.approx(-factor * advantage, rel=1e-12)


# beta1 = 0.75, beta2 = 0.5: 0.75 · 0.8 = 0.6 and 0.5 · 1.28 = 0.64
GENERAL = [(0.5, -2.0, 0.6), (2.0, 3.0, 0.64), (0.5, 3.0, 0.5), (2.0, -2.0, 2.0), (1.1, 3.0, 1.1), (0.9, -2.0, 0.9)]


@pytest.mark.parametrize("ratio, advantage, factor", GENERAL)
def test_betas_scale_value_and_gradient_in_their_own_region_only(ratio, advantage, factor):
    loss, gradient, _ = loss_and_gradient(ratio, advantage, GPPOLossConfig(beta1=0.75, beta2=0.5))
    assert gradient == pytest.approx(-factor * advantage, rel=1e-12)
    assert loss == pytest.approx(-factor * advantage, rel=1e-12)


def test_zero_betas_drop_the_gradient_as_ppo_does():
    options = GPPOLossConfig(beta1=0.0, beta2=0.0)
    assert loss_and_gradient(0.5, -2.0, options)[1] == 0
    assert loss_and_gradient(2.0, 3.0, options)[1] == 0


@pytest.mark.parametrize(
    "dual_clip, value_factor, gradient_factor",
    [("off", 20.0, 20.0), ("zero_grad", 10.0, 0.0), ("preserve", 10.0, 10.0)],
)
def test_dual_clip_choice_above_c_with_negative_advantage(dual_clip, value_factor, gradient_factor):
    loss, gradient, metrics = loss_and_gradient(20.0, -2.0, GPPOLossConfig(dual_clip=dual_clip), clip_ratio_c=10.0)
    assert loss == pytest.approx(2.0 * value_factor, rel=1e-12)
    assert gradient == pytest.approx(2.0 * gradient_factor, rel=1e-12)
    assert metrics["actor/pg_clipfrac_lower"] == (0.0 if dual_clip == "off" else 1.0)


@pytest.mark.parametrize("dual_clip", ["off", "zero_grad", "preserve"])
@pytest.mark.parametrize("ratio, advantage, factor", [(9.0, -2.0, 9.0), (20.0, 2.0, 1.28), (0.5, -2.0, 0.8)])
def test_dual_clip_leaves_every_other_token_alone(dual_clip, ratio, advantage, factor):
    loss, gradient, metrics = loss_and_gradient(
        ratio, advantage, GPPOLossConfig(dual_clip=dual_clip), clip_ratio_c=10.0
    )
    assert (loss, gradient) == pytest.approx((-factor * advantage, -factor * advantage), rel=1e-12)
    assert metrics["actor/pg_clipfrac_lower"] == 0.0


def test_no_gradient_is_zero_with_dual_clip_off_however_far_the_ratio():
    for log_ratio in (-15.0, -3.0, 3.0, 15.0):
        for advantage in (-1.0, 1.0):
            assert loss_and_gradient(math.exp(log_ratio), advantage, GPPOLossConfig())[1] != 0


def test_zero_advantage_gives_zero_loss_and_gradient_outside_the_band():
    assert loss_and_gradient(5.0, 0.0, GPPOLossConfig())[:2] == (0, 0)
