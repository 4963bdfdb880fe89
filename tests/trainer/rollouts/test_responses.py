# SPDX-License-Identifier: Apache-2.0
"""Which single responses may train, and what length costs them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.errors import DataError
from klear_verl.trainer.config import OverlongConfig
from klear_verl.trainer.rollouts import checked_reward, overlong_penalty, reward_info
from tests.trainer.rollout_samples import response

MASK, KEEP = OverlongConfig(mode="mask"), OverlongConfig(mode="keep")
PENALTY = OverlongConfig(mode="penalty", buffer_tokens=100, penalty=2.0)


def test_a_response_cut_off_by_the_limit_is_masked_in_mode_mask_only():
    cut = response(1.0, overlong=1.0)
    assert [cut.masked(mode) for mode in (MASK, PENALTY, KEEP)] == ["overlong", None, None]


def test_an_ungraded_response_is_masked_in_every_mode():
    assert [response(0.0, ungraded=1.0).masked(mode) for mode in (MASK, PENALTY, KEEP)] == ["ungraded"] * 3


@pytest.mark.parametrize(
    ("tokens", "penalty"), [(10, 0.0), (900, 0.0), (901, -0.02), (950, -1.0), (1000, -2.0), (1100, -2.0)]
)
def test_the_soft_punishment_falls_linearly_over_the_buffer_and_no_further(tokens, penalty):
    # DAPO, Eq. 13, times 2: limit 1000, buffer 100.
    assert overlong_penalty(tokens, 1000, PENALTY) == pytest.approx(penalty)


@given(st.integers(0, 2000))
def test_no_other_mode_punishes_length(tokens):
    assert overlong_penalty(tokens, 1000, MASK) == overlong_penalty(tokens, 1000, KEEP) == 0.0


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_finite_number_is_refused_by_name(reward):
    with pytest.raises(DataError, match=r"response abc_3_0 \(data_source 'math'\)"):
        checked_reward(reward, "abc_3_0", "math")


def test_only_an_entirely_correct_answer_is_positive():
    assert [response(score).positive for score in (1.0, 0.9375, 0.0)] == [True, False, False]


def test_a_criterion_that_the_reward_manager_does_not_report_is_an_error_not_a_zero():
    bare = response(1.0)
    bare.info.pop("acc")
    with pytest.raises(DataError, match=r"klear\.groups\.criterion=acc"):
        bare.criterion("acc")


def test_masking_needs_a_reward_manager_that_reports_which_responses_were_cut_off():
    bare = response(1.0)
    bare.info.pop("overlong")
    with pytest.raises(DataError, match=r"carries no 'overlong', which klear\.overlong\.mode=mask needs") as caught:
        bare.masked(MASK)
    assert "klear.overlong.mode=keep" in caught.value.remedy
    assert bare.masked(KEEP) is bare.masked(PENALTY) is None


def test_the_loss_on_correct_rollouts_needs_a_reward_manager_that_reports_which_are_correct():
    bare = response(1.0)
    bare.require_acc()
    bare.info.pop("acc")
    with pytest.raises(DataError, match=r"carries no 'acc', which .*positive_lm_coef above 0 needs"):
        bare.require_acc()
    assert not bare.positive


def test_rows_without_extra_info_have_none():
    assert reward_info({"turn_scores": []}) == reward_info(None) == {}
