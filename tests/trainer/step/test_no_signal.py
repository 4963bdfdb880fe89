# SPDX-License-Identifier: Apache-2.0
"""A step in which no group can train is skipped: nothing is computed, and verl's metrics find what they ask for."""

import json
import math

import pytest

from klear_verl.trainer.loss import NonFiniteLogProb
from tests.trainer.step.answers import CUT, EMPTY, RIGHT, UNGRADED, WRONG
from tests.trainer.step.one_step import run_step
from tests.trainer.step.stand_ins import STEP

KINDS = {"all wrong": WRONG, "all right": RIGHT, "all overlong": CUT, "all ungraded": UNGRADED, "all empty": EMPTY}
BROKEN = {2: math.nan}


@pytest.fixture(scope="module", params=list(KINDS))
def skipped(request, queue, tmp_path_factory):
    """A step of two groups without signal."""
    return run_step(tmp_path_factory.mktemp("run"), *[[KINDS[request.param]] * 3] * 2)


def test_the_step_is_skipped_and_says_so(skipped):
    assert skipped.metrics["klear/skipped_steps"] == 1.0


def test_no_forward_pass_and_no_update_takes_place(skipped):
    assert skipped.workers.calls == []


def test_every_row_is_still_there_with_an_advantage_of_zero(skipped):
    assert skipped.advantages == dict.fromkeys(["a0", "a1", "a2", "b0", "b1", "b2"], 0.0)
    assert not any(row["returns"].any() for row in skipped.fields.values())


def test_verls_metrics_are_there(skipped):
    assert skipped.metrics["training/global_step"] == STEP
    # verl's own mean over no token is NaN.
    assert skipped.metrics["critic/advantages/mean"] == 0.0 or math.isnan(skipped.metrics["critic/advantages/mean"])


def test_nothing_is_left_in_the_queue_once_verl_has_cleared_it(skipped):
    assert skipped.left == []


def test_its_groups_are_counted(step):
    metrics = step([WRONG] * 3, [RIGHT] * 3, [RIGHT, CUT, CUT]).metrics
    names = ("generated", "trained", "no_signal", "too_few_live")
    assert [metrics[f"klear/groups/{name}"] for name in names] == [3.0, 0.0, 2.0, 1.0]


def test_one_group_with_signal_is_an_ordinary_step(step):
    done = step([WRONG] * 3, [RIGHT, WRONG, WRONG])
    assert done.metrics["klear/skipped_steps"] == 0.0
    assert done.workers.calls == ["compute_log_prob", "update_actor"]


def test_in_mode_keep_groups_without_signal_are_an_ordinary_step(step):
    assert step([WRONG] * 3, klear={"groups": {"mode": "keep"}}).metrics["klear/skipped_steps"] == 0.0


def test_in_mode_keep_masked_responses_alone_are_still_nothing_to_train_on(step):
    assert step([CUT] * 3, klear={"groups": {"mode": "keep"}}).metrics["klear/skipped_steps"] == 1.0


def test_a_broken_models_rollout_stops_the_skipped_step_and_is_saved(step, tmp_path):
    with pytest.raises(NonFiniteLogProb, match=r"1 of 3 samples .* \(rollout_log_probs\)"):
        step([WRONG, WRONG, WRONG.but(rollout_log_probs=BROKEN)])
    (path,) = (tmp_path / "non_finite").glob("*.json")
    assert [sample["first_bad_token"] for sample in json.loads(path.read_text())] == [2]


def test_no_token_that_the_policy_did_not_write_stops_it(step):
    tool = WRONG.but(unwritten=(2,), rollout_log_probs=BROKEN)
    assert step([WRONG, WRONG, tool]).metrics["klear/skipped_steps"] == 1.0
