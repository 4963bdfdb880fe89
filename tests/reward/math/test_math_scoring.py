# SPDX-License-Identifier: Apache-2.0
"""Properties of math scores."""

import asyncio

import pytest

from klear_verl.errors import DataError
from klear_verl.reward.config import reward_config
from klear_verl.reward.math.pool import MathGrade
from klear_verl.reward.scorer import MathScorer


def test_correct_answer_after_thinking_is_plus_one(scorer, math_request):
    result = scorer.score(math_request("<think>2+2</think>\\boxed{4}"))
    assert (result.score, result.acc, result.status, result.pass_rate) == (1.0, True, "graded", None)


def test_wrong_answer_is_minus_one(scorer, math_request):
    result = scorer.score(math_request("<think>2+2</think>\\boxed{5}"))
    assert (result.score, result.acc, result.status) == (-1.0, False, "graded")


def test_answer_inside_the_thinking_alone_does_not_count(scorer, math_request):
    assert scorer.score(math_request("<think>\\boxed{4}</think>no idea")).acc is False


def test_cut_off_thinking_is_malformed_and_its_task_score_is_wrong(scorer, math_request):
    result = scorer.score(math_request("<think>\\boxed{4}"))
    assert (result.score, result.acc, result.status, result.task_score) == (-1.0, False, "malformed", -1.0)


def test_right_answer_without_opening_tag_has_the_format_score_and_a_right_task_score(math_request):
    scorer = MathScorer(reward_config({"think_prefilled": False}))
    try:
        result = scorer.score(math_request("2+2</think>4"))
    finally:
        scorer.close()
    assert (result.score, result.acc, result.status, result.task_score) == (-1.0, False, "malformed", 1.0)


def test_think_off_grades_a_bare_answer(math_request):
    scorer = MathScorer(reward_config({"think": "off"}))
    try:
        assert scorer.score(math_request("\\boxed{4}")).acc is True
    finally:
        scorer.close()


def test_unparsable_reference_is_ungraded_and_named(scorer, math_request):
    result = scorer.score(math_request("<think></think>4", ground_truth="\\frac{"))
    assert (result.score, result.acc, result.task_score, result.status) == (None, None, None, "ungraded")
    assert "unparsable reference '\\\\frac{'" in result.detail


class EndingPool:
    """Ends as told on an answer, and as told on the reference itself."""

    def __init__(self, *outcomes):
        self.grades = [MathGrade(outcome, "as told") for outcome in outcomes]

    def grade(self, gold, answer):
        return self.grades.pop(0)


@pytest.mark.parametrize("outcomes", [("timeout",), ("error",), ("crash", "crash")])
def test_an_answer_that_breaks_the_grader_is_wrong_where_the_reference_is_fine(math_request, outcomes):
    scorer = MathScorer(reward_config(None), pool=EndingPool(*outcomes, "correct"))
    result = scorer.score(math_request("<think></think>4"))
    assert (result.score, result.acc, result.status) == (-1.0, False, "graded")
    assert result.detail == "the answer breaks the grader: as told"


@pytest.mark.parametrize("outcomes", [("timeout", "timeout"), ("error", "bad_gold"), ("stalled", "stalled")])
def test_a_reference_that_breaks_it_too_and_a_machine_that_stalls_twice_leave_it_ungraded(math_request, outcomes):
    result = MathScorer(reward_config(None), pool=EndingPool(*outcomes)).score(math_request("<think></think>4"))
    assert (result.score, result.acc, result.status) == (None, None, "ungraded")


def test_an_answer_without_end_is_wrong_and_costs_no_more_than_its_time(scorer, math_request):
    tower = scorer.score(math_request("<think></think>\\boxed{9^{9^{9^{9}}}}"))
    ones = scorer.score(math_request("<think></think>" + "1 " * 20_000))
    assert [(result.score, result.status) for result in (tower, ones)] == [(-1.0, "graded")] * 2


class FlakyPool:
    """Crashes at the first pair and grades the second."""

    def __init__(self):
        self.grades = [MathGrade("crash", "status -9"), MathGrade("correct")]

    def grade(self, gold, answer):
        return self.grades.pop(0)


def test_a_crash_is_tried_once_more(math_request):
    result = MathScorer(reward_config(None), pool=FlakyPool()).score(math_request("<think></think>4"))
    assert (result.score, result.status) == (1.0, "graded")


@pytest.mark.parametrize("truth", [None, "", "  ", ["4"], {"answer": 4}, True])
def test_ground_truth_that_is_no_answer_is_an_error_naming_the_row(scorer, math_request, truth):
    with pytest.raises(DataError, match="row 'm'"):
        scorer.score(math_request("<think></think>4", ground_truth=truth))


@pytest.mark.parametrize("truth", [4, 4.0])
def test_numbers_are_references_too(scorer, math_request, truth):
    assert scorer.score(math_request("<think></think>4", ground_truth=truth)).acc is True


def test_async_and_many_agree_with_one_by_one_and_keep_the_order(scorer, math_request):
    requests = [math_request(f"<think></think>{n}") for n in range(12)]
    expected = [n == 4 for n in range(12)]

    async def gather():
        return await asyncio.gather(*(scorer.score_async(request) for request in requests))

    assert [result.acc for result in asyncio.run(gather())] == expected
    assert [result.acc for result in scorer.score_many(requests, jobs=2)] == expected
