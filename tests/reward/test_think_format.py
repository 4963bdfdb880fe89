# SPDX-License-Identifier: Apache-2.0
"""Properties of the think format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.reward.think import parse_think, text_after_think


def test_reasoning_in_tags_is_well_formed_and_the_rest_is_the_answer():
    parsed = parse_think("<think>1+1</think>2")
    assert (parsed.answer, parsed.fault) == ("2", None)


def test_white_space_before_the_opening_tag_is_allowed():
    assert parse_think("\n <think>a</think>b").fault is None


def test_answer_follows_the_last_closing_tag():
    assert parse_think("<think>a</think>b</think>c").answer == "c"


def test_no_closing_tag_leaves_no_answer():
    parsed = parse_think("<think>cut short \\boxed{4}")
    assert (parsed.answer, parsed.fault) == (None, "no_think_end")


def test_second_thought_left_open_leaves_no_answer():
    assert parse_think("<think>a</think>4<think>wait").fault == "no_think_end"


def test_text_before_the_opening_tag_is_a_fault_but_the_answer_is_kept():
    parsed = parse_think("Sure! <think>a</think>4")
    assert (parsed.answer, parsed.fault) == ("4", "no_think_start")


@pytest.mark.parametrize(("prefilled", "fault"), [("auto", None), (True, None), (False, "no_think_start")])
def test_template_that_prefills_the_opening_tag(prefilled, fault):
    assert parse_think("a</think>4", prefilled=prefilled).fault == fault


def test_auto_prefill_needs_exactly_one_closing_tag():
    assert parse_think("a</think>b</think>4", prefilled="auto").fault == "no_think_start"


def test_without_the_format_the_answer_is_what_follows_the_tag_or_everything():
    assert text_after_think("a</think>4") == "4"
    assert text_after_think("4") == "4"


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "x", "\n", ""])).map("".join),
    st.sampled_from([True, False, "auto"]),
)
def test_every_text_has_a_parse_and_the_answer_is_its_end(text, prefilled):
    parsed = parse_think(text, prefilled=prefilled)
    assert (parsed.answer is None) == (parsed.fault == "no_think_end")
    assert parsed.answer is None or (text.endswith(parsed.answer) and "</think>" not in parsed.answer)
