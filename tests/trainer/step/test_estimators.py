# SPDX-License-Identifier: Apache-2.0
"""What verl's estimators and metrics see of a batch: its responses, and none of the padding."""

import pytest

from tests.trainer.step.answers import CUT, RIGHT, WRONG

KEEP = {"groups": {"mode": "keep"}}


@pytest.mark.parametrize("mini_batch_size", [1, 2, 4])
def test_padding_does_not_scale_the_advantages_of_an_estimator_that_counts_rows(step, mini_batch_size):
    # GPG: (reward - mean) times rows over rows with a reward, 4 / 4; mean of 1, -1, -1, -1 is -1/2.
    done = step([RIGHT, WRONG, WRONG, WRONG], mini_batch_size=mini_batch_size, algorithm={"adv_estimator": "gpg"})
    assert len(done.padding.get("advantages", [])) == 4 * (mini_batch_size - 1)
    assert done.advantages == pytest.approx({"a0": 1.5, "a1": -0.5, "a2": -0.5, "a3": -0.5})


def test_padding_is_no_group_of_its_own_to_an_estimator_that_needs_two_of_each(step):
    # Pass@k: the best response has the gap to the second best over the deviation, √2; one padding row stands alone.
    done = step([RIGHT, WRONG, CUT], mini_batch_size=1, algorithm={"adv_estimator": "grpo_passk"})
    assert len(done.padding["advantages"]) == 1
    assert done.advantages == pytest.approx({"a0": 2**0.5, "a1": 0.0}, abs=1e-5)


@pytest.mark.parametrize("mini_batch_size", [1, 4])
def test_padding_does_not_dilute_verls_metrics_of_the_rollout(step, mini_batch_size):
    correction = {"rollout_is": None, "rollout_rs": None}
    done = step([RIGHT, WRONG, WRONG], mini_batch_size=mini_batch_size, algorithm={"rollout_correction": correction})
    assert done.metrics["rollout_corr/training_log_ppl"] == pytest.approx(1.0)  # -log p of every token


def test_a_level_group_keeps_the_advantages_that_an_estimator_of_single_responses_gives_it(step):
    options = {"algorithm": {"adv_estimator": "reinforce_plus_plus"}, "klear": KEEP}
    done = step([RIGHT, RIGHT], [WRONG, WRONG], **options)
    # Whitened over 16 tokens of 1 and -1 each half: mean 0, deviation √(16/15).
    assert done.advantages["a0"] == done.advantages["a1"] == pytest.approx((15 / 16) ** 0.5)
    assert done.advantages["b0"] == pytest.approx(-done.advantages["a0"])


def test_single_responses_train_where_they_are_not_compared(step):
    options = {"algorithm": {"adv_estimator": "reinforce_plus_plus"}, "klear": KEEP}
    done = step([RIGHT], [WRONG], **options)
    assert sorted(done.advantages) == ["a0", "b0"]
    assert all(done.advantages.values())
