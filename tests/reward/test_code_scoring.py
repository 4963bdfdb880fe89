# SPDX-License-Identifier: Apache-2.0
"""Properties of code scores, through the real judge."""

import asyncio
import json

import numpy as np
import pytest

from klear_verl.errors import DataError
from klear_verl.judge import Judgement, Verdict
from klear_verl.reward.config import reward_config
from klear_verl.reward.references import code_reference
from klear_verl.reward.scorer import CodeScorer

DOUBLE = "print(2 * int(input()))"
HALF_RIGHT = "n = int(input())\nprint(2 * n if n < 0 or n == 1 else 0)"


def answer(program, think="<think>double it</think>"):
    return f"{think}\n```python\n{program}\n```\n"


def score_with(values, request):
    scorer = CodeScorer(reward_config(values))
    try:
        return scorer.score(request)
    finally:
        scorer.close()


def test_program_that_passes_every_test_is_one_and_accurate(scorer, code_request):
    result = scorer.score(code_request(answer(DOUBLE)))
    assert (result.score, result.acc, result.pass_rate, result.status) == (1.0, True, 1.0, "graded")
    assert result.verdicts == ("AC",) * 4
    assert "no_new_privs" in result.layers


def test_soft_reward_is_the_share_of_tests_passed(scorer, code_request):
    result = scorer.score(code_request(answer(HALF_RIGHT)))
    assert (result.score, result.acc, result.pass_rate) == (0.5, False, 0.5)


@pytest.mark.parametrize(("shape", "score"), [("centered", 0.0), ("hard", -1.0)])
def test_other_shapes_of_half_the_tests(code_request, shape, score):
    assert score_with({"code": {"shape": shape}}, code_request(answer(HALF_RIGHT))).score == score


@pytest.mark.parametrize(
    "response", ["no code at all", answer(DOUBLE, think="<think>never closed"), "<think></think>```cpp\nx\n```"]
)
def test_response_without_a_program_is_malformed_and_not_run(scorer, code_request, response):
    result = scorer.score(code_request(response))
    assert (result.score, result.acc, result.status, result.verdicts) == (0.0, False, "malformed", ())


def test_right_program_without_opening_tag_has_the_format_score_and_a_right_task_score(code_request):
    result = score_with(
        {"think_prefilled": False, "code": {"malformed": -0.5}}, code_request(answer(DOUBLE, think="hm</think>"))
    )
    assert (result.score, result.acc, result.status, result.task_score) == (-0.5, False, "malformed", 1.0)


def test_raw_code_takes_an_unfenced_answer_as_the_program(code_request):
    assert score_with({"think": "off", "raw_code": True}, code_request(DOUBLE)).acc is True
    assert score_with({"think": "off"}, code_request(DOUBLE)).status == "malformed"


class BrokenJudge:
    layers = ()

    def run(self, problem, source):
        return Judgement((Verdict.IE,), None, None, (), detail="zygote died")


def test_internal_error_of_the_judge_is_ungraded(code_request):
    scorer = CodeScorer(reward_config(None))
    scorer.close()
    scorer._judge = BrokenJudge()
    result = scorer.score(code_request(answer(DOUBLE)))
    assert (result.score, result.acc, result.task_score, result.status) == (None, None, None, "ungraded")
    assert result.detail == "zygote died"


def test_ground_truth_as_dict_as_text_or_from_parquet_is_one_problem_with_one_id():
    truth = {"inputs": ["1\n"], "outputs": ["2\n"]}
    arrays = {key: np.array(value, dtype=object) for key, value in truth.items()}
    forms = [truth, json.dumps(truth), arrays, dict(reversed(truth.items()))]
    assert len({code_reference(form, None, "row 1").id for form in forms}) == 1


@pytest.mark.parametrize("truth", ["not json", {"inputs": ["1"]}, 4, {"inputs": ["1"], "outputs": []}])
def test_unreadable_ground_truth_is_an_error_naming_the_row(scorer, code_request, truth):
    with pytest.raises(DataError, match="row 'c'"):
        scorer.score(code_request(answer(DOUBLE), truth))
    with pytest.raises(DataError, match="row 'c'"):
        scorer.check(code_request("", truth))


def test_async_agrees(scorer, code_request):
    assert asyncio.run(scorer.score_async(code_request(answer(HALF_RIGHT)))).score == 0.5
