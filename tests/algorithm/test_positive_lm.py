# SPDX-License-Identifier: Apache-2.0
"""The language-model loss on correct rollouts, Eq. 13."""

import pytest
import torch

from klear_verl.algorithm import positive_lm_loss

# Three responses of up to three tokens; the first and the last are correct: 3 + 1 positive tokens.
LOG_PROB = [[-1.0, -2.0, -3.0], [-5.0, -5.0, -5.0], [-4.0, float("nan"), float("inf")]]
MASK = torch.tensor([[1, 1, 1], [1, 1, 1], [1, 0, 0]])
POSITIVE = torch.tensor([True, False, True])


def loss_and_gradient(rows, tokens, dp_size=1):
    log_prob = torch.tensor(LOG_PROB, dtype=torch.float64)[rows].requires_grad_()
    loss = positive_lm_loss(log_prob, MASK[rows], POSITIVE[rows], tokens, dp_size)
    loss.backward()
    return loss.item(), log_prob.grad


def test_the_negative_log_likelihood_per_positive_token():
    loss, gradient = loss_and_gradient([0, 1, 2], 4)
    assert loss == pytest.approx((1 + 2 + 3 + 4) / 4)
    assert gradient.tolist() == [[-0.25, -0.25, -0.25], [0.0, 0.0, 0.0], [-0.25, 0.0, 0.0]]


def test_micro_batches_add_up_to_the_mini_batch():
    # Normalised per micro-batch, as released, the single token of the last response would weigh as much as the others.
    assert loss_and_gradient([0, 1], 4)[0] + loss_and_gradient([2], 4)[0] == pytest.approx(2.5)


def test_ranks_whose_gradients_are_averaged_add_up_too():
    parts = [loss_and_gradient([0], 4, dp_size=2)[0], loss_and_gradient([1, 2], 4, dp_size=2)[0]]
    assert sum(parts) / 2 == pytest.approx(2.5)


def test_without_a_positive_the_term_and_its_gradient_are_exactly_zero():
    loss, gradient = loss_and_gradient([1], 0)
    assert loss == 0.0
    assert gradient.tolist() == [[0.0, 0.0, 0.0]]
