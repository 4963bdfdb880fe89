# SPDX-License-Identifier: Apache-2.0
"""The synthetic math task: its arithmetic, its mistake, its rows, as the real scorer sees them."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.quickstart import math_task
from klear_verl.quickstart.math_task import Addition, all_additions, split
from klear_verl.reward.config import reward_config
from klear_verl.reward.score import ScoreRequest
from klear_verl.reward.scorer import Scorer

PROBLEMS = st.sampled_from(all_additions())


@pytest.fixture(scope="module")
def scorer():
    with Scorer(reward_config({})) as scorer:
        yield scorer


def request_for(problem, response):
    row = problem.row()
    return ScoreRequest(problem.id, row["data_source"], response, row["reward_model"]["ground_truth"])


def test_there_are_45_digit_pairs_that_carry_times_81_tens():
    # Of the 100 pairs of ones digits, 0+1+…+9 = 45 sum to 10 or more; the tens digits are 1 to 9 each.
    assert len(set(all_additions())) == len(all_additions()) == 45 * 81


def test_a_demonstration_shows_the_carry():
    assert Addition(47, 38).demonstration(forgets_carry=False) == "<think>\n7+8=15. 4+3+1=8.\n</think>\n\\boxed{85}"


def test_a_careless_demonstration_forgets_it():
    assert Addition(47, 38).demonstration(forgets_carry=True) == "<think>\n7+8=15. 4+3+0=7.\n</think>\n\\boxed{75}"


@given(PROBLEMS)
def test_the_right_demonstration_ends_in_the_sum_and_the_careless_one_ten_below(problem):
    for forgets, off in ((False, 0), (True, 10)):
        boxed = re.search(r"\\boxed\{(\d+)\}", problem.demonstration(forgets_carry=forgets))[1]
        assert int(boxed) == problem.a + problem.b - off


@given(PROBLEMS)
def test_every_step_that_is_written_down_adds_up(problem):
    for forgets in (False, True):
        steps = re.findall(r"([\d+]+)=(\d+)", problem.demonstration(forgets_carry=forgets))
        assert len(steps) == 2
        assert all(sum(map(int, left.split("+"))) == int(right) for left, right in steps)


def test_the_scorer_grades_right_demonstrations_right_and_careless_ones_wrong(scorer):
    for problem in random.Random(0).sample(all_additions(), 12):
        right = scorer.score(request_for(problem, problem.demonstration(forgets_carry=False)))
        careless = scorer.score(request_for(problem, problem.demonstration(forgets_carry=True)))
        assert (right.status, right.acc, right.score) == ("graded", True, 1.0)
        assert (careless.status, careless.acc, careless.score) == ("graded", False, -1.0)


def test_a_row_has_verls_columns_and_no_answer_in_the_prompt():
    row = Addition(47, 38).row()
    assert set(row) == {"data_source", "prompt", "ability", "reward_model", "extra_info"}
    assert row["prompt"] == [{"role": "user", "content": "What is 47 + 38?"}]
    assert row["reward_model"] == {"ground_truth": "85", "style": "rule"}
    assert row["data_source"] == math_task.DATA_SOURCE


@pytest.mark.parametrize("seed", range(3))
def test_train_and_held_out_are_disjoint_and_together_everything(seed):
    train, held_out = split(random.Random(seed), 64)
    assert len(held_out) == 64
    assert set(train) | set(held_out) == set(all_additions())
    assert not set(train) & set(held_out)


def test_another_seed_holds_out_other_problems():
    assert split(random.Random(0), 64)[1] != split(random.Random(1), 64)[1]
