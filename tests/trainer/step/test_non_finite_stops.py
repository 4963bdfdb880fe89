# SPDX-License-Identifier: Apache-2.0
"""A model, a rollout or a gradient that is no number ends the step."""

import json
import math

import pytest

from klear_verl.trainer.loss import NonFiniteGradient, NonFiniteLogProb
from tests.trainer.step.answers import CUT, RIGHT, WRONG

GROUP = [RIGHT, WRONG, WRONG]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_log_probability_of_the_model_that_is_no_number_stops_the_step(step, value):
    with pytest.raises(NonFiniteLogProb, match=r"1 of 12 samples .* \(old_log_probs\)"):
        step(GROUP, log_probs={"a1": {2: value}})


def test_it_does_so_where_the_rollout_keeps_no_log_probabilities(step):
    with pytest.raises(NonFiniteLogProb):
        step(GROUP, log_probs={"a1": {2: math.nan}}, rollout={"calculate_log_probs": False})


def test_the_response_is_saved_with_the_place(step, tmp_path):
    with pytest.raises(NonFiniteLogProb) as caught:
        step(GROUP, log_probs={"a1": {2: math.nan}})
    (path,) = (tmp_path / "non_finite").glob("*.json")
    (sample,) = json.loads(path.read_text())
    assert (sample["first_bad_token"], sample["prompt"], sample["response"]) == (2, "5 6 7", "10 11 12 13")
    assert str(path) in caught.value.remedy


def test_nothing_is_updated_by_such_a_step(step, monkeypatch):
    monkeypatch.setattr("tests.trainer.step.stand_ins.Workers.update_actor", lambda *_: pytest.fail("updated"))
    with pytest.raises(NonFiniteLogProb):
        step(GROUP, log_probs={"a1": {2: math.nan}})


def test_a_token_that_the_policy_did_not_write_may_have_any_log_probability(step):
    tool = WRONG.but(unwritten=(2,))
    done = step([RIGHT, tool, WRONG], log_probs={"a1": {2: math.nan}})
    assert done.workers.calls == ["compute_log_prob", "update_actor"]


def test_a_masked_response_may_have_any_log_probability(step):
    done = step([RIGHT, WRONG, CUT.but(rollout_log_probs={0: math.nan})], log_probs={"a2": {0: math.nan}})
    assert done.workers.calls == ["compute_log_prob", "update_actor"]


def test_a_log_probability_of_the_rollout_that_is_no_number_stops_the_step(step):
    with pytest.raises(NonFiniteLogProb, match=r"\(rollout_log_probs\)"):
        step([RIGHT, WRONG.but(rollout_log_probs={1: math.nan}), WRONG])


@pytest.mark.parametrize("norm", [math.inf, math.nan])
def test_a_gradient_norm_that_is_no_number_stops_the_run_and_names_the_step(step, norm):
    with pytest.raises(NonFiniteGradient, match=rf"step 3: the gradient norm is {norm}"):
        step(GROUP, grad_norm=norm)


def test_a_finite_gradient_norm_is_a_metric(step):
    assert step(GROUP, grad_norm=2.0).metrics["actor/grad_norm"] == 2.0
