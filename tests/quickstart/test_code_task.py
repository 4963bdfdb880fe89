# SPDX-License-Identifier: Apache-2.0
"""The synthetic programming task: its tests, its mistake, its rows, as the real judge sees them."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klear_verl.quickstart import code_task
from klear_verl.quickstart.code_task import KINDS, LinearPair, split
from klear_verl.reward.config import reward_config
from klear_verl.reward.score import ScoreRequest
from klear_verl.reward.scorer import Scorer

PROBLEMS = st.builds(LinearPair, st.sampled_from(KINDS), st.integers(1, 9), st.integers(1, 9))


@pytest.fixture(scope="module")
def scorer():
    with Scorer(reward_config({"judge": {"slots": 2}})) as scorer:
        yield scorer


def request_for(problem, response):
    row = problem.row()
    return ScoreRequest(problem.id, row["data_source"], response, row["reward_model"]["ground_truth"])


def evaluated(problem, *, careless, mistaken=False):
    """What the expression yields on each test, by Python itself, beside what the test expects."""
    tests = problem.tests(mistaken=mistaken)
    for line, expected in zip(tests["inputs"], tests["outputs"], strict=True):
        a, b = map(int, line.split())
        names = {"a": a, "b": b, "abs": abs, "max": max, "min": min}
        yield eval(problem.expression(careless=careless), names), int(expected)


@pytest.mark.parametrize(("kind", "expected"), [("larger", 10), ("smaller", -6), ("distance", 16)])
def test_the_answers_are_what_the_words_say(kind, expected):
    assert LinearPair(kind, 2, 3).answer(5, -2) == expected  # 2·5 = 10 and 3·(-2) = -6


def test_a_demonstration_is_a_think_block_and_a_fenced_program():
    assert LinearPair("larger", 2, 3).demonstration(careless=False) == (
        "<think>\nlarger 2 3\n</think>\n```python\na,b=map(int,input().split())\nprint(max(2*a,3*b))\n```"
    )


@given(PROBLEMS)
def test_there_are_16_distinct_tests_the_same_every_time(problem):
    tests = problem.tests()
    assert len(set(tests["inputs"])) == len(tests["inputs"]) == len(tests["outputs"]) == 16
    assert LinearPair(problem.kind, problem.c, problem.d).tests() == tests


@given(PROBLEMS)
def test_the_right_expression_passes_every_test_and_the_careless_one_exactly_half(problem):
    assert all(got == expected for got, expected in evaluated(problem, careless=False))
    assert sum(got == expected for got, expected in evaluated(problem, careless=True)) == 8


@given(PROBLEMS)
def test_mistaken_tests_are_the_same_inputs_with_what_the_careless_expression_yields(problem):
    assert problem.tests(mistaken=True)["inputs"] == problem.tests()["inputs"]
    assert all(got == expected for got, expected in evaluated(problem, careless=True, mistaken=True))
    assert sum(got == expected for got, expected in evaluated(problem, careless=False, mistaken=True)) == 8


def test_the_judge_passes_right_demonstrations_and_half_of_every_careless_one(scorer):
    for problem in [LinearPair(kind, c, d) for kind in KINDS for c, d in ((2, 7), (5, 5))]:
        right = scorer.score(request_for(problem, problem.demonstration(careless=False)))
        careless = scorer.score(request_for(problem, problem.demonstration(careless=True)))
        assert (right.status, right.acc, right.pass_rate, right.score) == ("graded", True, 1.0, 1.0)
        assert (careless.status, careless.acc, careless.pass_rate, careless.score) == ("graded", False, 0.5, 0.5)


def test_a_row_has_verls_columns_and_its_tests_as_json():
    row = LinearPair("distance", 2, 3).row()
    assert set(row) == {"data_source", "prompt", "ability", "reward_model", "extra_info"}
    assert row["data_source"] == code_task.DATA_SOURCE
    assert set(json.loads(row["reward_model"]["ground_truth"])) == {"inputs", "outputs"}


@given(st.integers())
@settings(max_examples=5)
def test_train_and_held_out_are_disjoint_and_together_everything(seed):
    train, held_out = split(random.Random(seed), 48)
    assert len(held_out) == 48
    assert not set(train) & set(held_out)
    assert len(set(train) | set(held_out)) == 3 * 9 * 9


@given(PROBLEMS)
def test_prompts_tell_problems_apart(problem):
    others = [LinearPair(kind, problem.c, problem.d) for kind in KINDS if kind != problem.kind]
    assert problem.prompt() not in {other.prompt() for other in others}
