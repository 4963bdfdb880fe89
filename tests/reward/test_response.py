# SPDX-License-Identifier: Apache-2.0
"""Properties of the think format: which part of a response is the answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.reward.response import split_answer

NO_END = (None, "no </think>")
NO_START = "no <think> at the start of the response"


def test_reasoning_in_tags_is_well_formed_and_the_rest_is_the_answer():
    assert split_answer("<think>1+1</think>2") == ("2", None)


def test_white_space_before_the_opening_tag_is_allowed():
    assert split_answer("\n <think>a</think>b") == ("b", None)


def test_answer_follows_the_last_closing_tag():
    assert split_answer("<think>a</think>b</think>c") == ("c", None)


def test_no_closing_tag_leaves_no_answer():
    assert split_answer("<think>cut short \\boxed{4}") == NO_END


def test_second_thought_left_open_leaves_no_answer():
    assert split_answer("<think>a</think>4<think>wait") == NO_END


def test_text_before_the_opening_tag_is_a_fault_but_the_answer_is_kept():
    assert split_answer("Sure! <think>a</think>4") == ("4", NO_START)


@pytest.mark.parametrize(("prefilled", "fault"), [("auto", None), (True, None), (False, NO_START)])
def test_template_that_prefills_the_opening_tag(prefilled, fault):
    assert split_answer("a</think>4", prefilled=prefilled) == ("4", fault)


def test_auto_prefill_needs_exactly_one_closing_tag():
    assert split_answer("a</think>b</think>4", prefilled="auto") == ("4", NO_START)


@pytest.mark.parametrize("response", ["a</think>4", "4"])
def test_without_the_format_the_answer_is_what_follows_the_tag_or_everything(response):
    assert split_answer(response, think="off") == ("4", None)


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "x", "\n", ""])).map("".join),
    st.sampled_from([True, False, "auto"]),
)
def test_every_text_has_an_answer_or_none_and_the_answer_is_its_end(text, prefilled):
    answer, fault = split_answer(text, prefilled=prefilled)
    assert (answer is None) == (fault == "no </think>")
    assert answer is None or (text.endswith(answer) and "</think>" not in answer)
