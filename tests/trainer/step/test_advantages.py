# SPDX-License-Identifier: Apache-2.0
"""The advantages that the workers train on, from the rewards of the live responses alone.

GRPO's advantage is (reward - mean) / (standard deviation + 1e-6) within the group, with n - 1 in the deviation.
"""

import math

import pytest

from tests.trainer.step.answers import CUT, EMPTY, LIMIT, RIGHT, UNGRADED, WRONG

KEEP = {"groups": {"mode": "keep"}}
PENALTY = {"overlong": {"mode": "penalty", "buffer_tokens": 4, "penalty": 1.0}}
"""The reward falls from 0 at 4 tokens to -1 at the limit of 8: by 0.25 a token."""
ROUNDS_BADLY = RIGHT.but(score=0.9)
"""Three of them have a mean other than 0.9 in float32, and verl an advantage of 0.06 for each."""


def near(advantages):
    return pytest.approx(advantages, abs=1e-5)


def test_advantages_are_grpos_of_each_group(step):
    done = step([RIGHT, WRONG, WRONG], [WRONG.but(score=0.5), WRONG.but(score=0.0), RIGHT])
    # Rewards 1, -1, -1: mean -1/3, variance (16 + 4 + 4) / 9 / 2 = 4/3. Rewards 0.5, 0, 1: mean 0.5, deviation 0.5.
    root = math.sqrt(3)
    a, b = {"a0": 2 / root, "a1": -1 / root, "a2": -1 / root}, {"b0": 0.0, "b1": -1.0, "b2": 1.0}
    assert done.advantages == near(a | b)


def test_a_masked_response_is_no_part_of_its_groups_mean_or_deviation(step):
    done = step([RIGHT, WRONG, CUT])
    # Of 1 and -1 alone: mean 0, deviation √2.
    assert done.advantages == near({"a0": 1 / math.sqrt(2), "a1": -1 / math.sqrt(2)})


@pytest.mark.parametrize("masked", [CUT, UNGRADED, EMPTY], ids=["overlong", "ungraded", "empty"])
def test_what_a_masked_response_says_or_is_worth_changes_nobodys_advantage(step, masked):
    rest = [RIGHT, WRONG, WRONG]
    other = masked.but(score=1.0, reward=1e6, info={**masked.info, "acc": 1.0})
    assert step([*rest, masked]).advantages == step([*rest, other]).advantages


def test_padding_has_no_advantage(step):
    done = step([RIGHT, WRONG, CUT], mini_batch_size=2)
    assert len(done.padding["advantages"]) == 4
    assert not any(row.any() for row in (*done.padding["advantages"], *done.padding["returns"]))


def test_a_group_with_one_reward_throughout_has_advantages_of_exactly_zero(step):
    done = step([ROUNDS_BADLY] * 3, [RIGHT, WRONG, WRONG], klear=KEEP)
    assert [done.advantages[name] for name in ("a0", "a1", "a2")] == [0.0, 0.0, 0.0]
    assert done.advantages["b0"] == near(2 / math.sqrt(3))


def test_a_group_whose_masked_response_alone_differs_is_level_too(step):
    done = step([*[ROUNDS_BADLY] * 3, CUT], klear=KEEP)
    assert done.advantages == {"a0": 0.0, "a1": 0.0, "a2": 0.0}


def test_scores_that_differ_under_one_reward_are_no_signal_to_the_gradient(step):
    done = step([ROUNDS_BADLY, ROUNDS_BADLY, WRONG.but(reward=0.9)])
    assert done.advantages == {"a0": 0.0, "a1": 0.0, "a2": 0.0}


def test_in_mode_penalty_length_lowers_the_reward_that_advantages_are_made_of(step):
    done = step([RIGHT.but(tokens=4), RIGHT.but(tokens=LIMIT), WRONG], klear=PENALTY)
    # Rewards 1, 1 - 1, -1: mean 0, deviation 1.
    assert done.advantages == near({"a0": 1.0, "a1": 0.0, "a2": -1.0})


def test_in_mode_penalty_a_response_that_was_cut_off_trains(step):
    done = step([RIGHT, CUT.but(score=0.5), WRONG.but(tokens=6)], klear=PENALTY)
    # Rewards 1, 0.5 - 1, -1 - 0.5: mean -1/3; deviations 8/6, -1/6, -7/6, variance 114/36/2 = 19/12.
    deviation = math.sqrt(19 / 12)
    expected = {"a0": 8 / 6 / deviation, "a1": -1 / 6 / deviation, "a2": -7 / 6 / deviation}
    assert done.advantages == near(expected)


def test_in_mode_penalty_the_reward_of_the_workers_and_of_verls_metrics_is_the_lowered_one(step):
    done = step([RIGHT.but(tokens=6), WRONG, WRONG], klear=PENALTY)
    assert done.fields["a0"]["rm_scores"].tolist() == [0.0, 0.0, 0.0, 0.0, 0.0, 0.5]
    assert done.metrics["critic/score/max"] == done.metrics["critic/rewards/max"] == 0.5


def test_the_penalty_is_in_the_mean_reward_and_not_in_the_mean_task_score(step):
    done = step([RIGHT.but(tokens=LIMIT), WRONG, WRONG], klear=PENALTY)
    assert done.metrics["klear/reward"] == pytest.approx(-2 / 3)
    assert done.metrics["klear/task_score"] == pytest.approx(-1 / 3)


@pytest.mark.parametrize(("criterion", "trained"), [("task_score", 0.0), ("acc", 0.0), ("reward", 1.0)])
def test_the_penalty_makes_signal_only_where_the_criterion_is_the_reward(step, criterion, trained):
    done = step([RIGHT, RIGHT.but(tokens=LIMIT), RIGHT], klear=PENALTY | {"groups": {"criterion": criterion}})
    assert done.metrics["klear/groups/trained"] == trained


@pytest.mark.parametrize("mode", ["mask", "keep"])
def test_in_no_other_mode_is_a_reward_touched(step, mode):
    done = step([RIGHT.but(tokens=LIMIT), WRONG, WRONG], klear={"overlong": {"mode": mode, "buffer_tokens": 4}})
    assert done.fields["a0"]["rm_scores"].tolist() == [0.0] * 7 + [1.0]


def test_every_row_of_a_session_has_the_advantage_of_its_last(step):
    done = step([RIGHT.but(outputs=2), WRONG, WRONG], klear=PENALTY, mini_batch_size=2)
    assert done.advantages["a0"] == done.advantages["a0'"] == near(2 / math.sqrt(3))
