# SPDX-License-Identifier: Apache-2.0
"""Tokens that rollout correction rejects leave the loss and every denominator."""

import pytest

from tests.trainer.step.answers import LOG_PROB, RIGHT, WRONG

REJECT = {"rollout_rs": "token_k1", "rollout_rs_threshold": "0.5_2.0", "rollout_is": None}
FAR = {1: LOG_PROB - 3.0}
"""The token at place 1 was e³ times as unlikely to the rollout as it is to the model."""


@pytest.fixture
def done(step):
    odd = RIGHT.but(rollout_log_probs=FAR)
    return step([odd, RIGHT, WRONG], mini_batch_size=2, algorithm={"rollout_correction": REJECT})


def test_a_rejected_token_leaves_the_mask_by_which_the_loss_is_made_and_the_one_by_which_workers_count(done):
    for field in ("response_mask", "loss_mask"):
        assert done.fields["a0"][field].tolist() == [1, 0, 1, 1]
        assert done.fields["a1"][field].tolist() == [1, 1, 1, 1]


def test_a_rejected_token_is_not_among_the_positive_ones(done):
    assert done.metrics["klear/positive_tokens"] == 7.0
    assert int(done.fields["a2"]["klear_positive_tokens"]) == 7


def test_padding_has_every_field_that_the_others_have(step):
    weights = {**REJECT, "rollout_is": "token", "rollout_is_threshold": 2.0}
    done = step([RIGHT, WRONG], mini_batch_size=2, algorithm={"rollout_correction": weights})
    assert len(done.padding["rollout_is_weights"]) == 2
    assert done.fields["a0"]["rollout_is_weights"].tolist() == [1.0] * 4
