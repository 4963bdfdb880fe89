# SPDX-License-Identifier: Apache-2.0
"""What travels with each sample for the loss: whether it is correct, and the counts of its mini-batch."""

import pytest

from klear_verl.errors import DataError
from tests.trainer.step.answers import CUT, LIMIT, PAD, RIGHT, UNGRADED, WRONG

PENALTY = {"overlong": {"mode": "penalty", "buffer_tokens": 4, "penalty": 1.0}}
REJECTION = {"rollout_correction": {"rollout_is": None, "rollout_rs": "token_k1", "rollout_rs_threshold": "0.5_2.0"}}


def positives(done):
    return {name for name, row in done.fields.items() if row["klear_positive"]}


def seen_by_mini_batch(done, field):
    """The values that the samples of each mini-batch carry, over all ranks and with padding."""
    return [{int(n) for rank in done.workers.batches for n in rank[number][field]} for number in range(_count(done))]


def _count(done):
    return len(done.workers.batches[0])


def test_positive_are_the_correct_responses_and_nothing_else(step):
    done = step([RIGHT, WRONG, WRONG.but(score=0.75)], [WRONG, RIGHT, RIGHT], mini_batch_size=3)
    assert positives(done) == {"a0", "b1", "b2"}
    assert not any(done.padding["klear_positive"])


def test_positive_is_what_the_grader_found_correct_whatever_it_was_worth(step):
    done = step([RIGHT.but(reward=-5.0), WRONG.but(reward=1.0), WRONG])
    assert positives(done) == {"a0"}


def test_a_penalty_for_length_makes_no_answer_incorrect(step):
    assert positives(step([RIGHT.but(tokens=LIMIT), WRONG, WRONG], klear=PENALTY)) == {"a0"}


def test_a_masked_correct_response_is_not_counted_among_the_positive(step):
    done = step([RIGHT, WRONG, CUT.but(score=1.0)], [RIGHT, WRONG, UNGRADED.but(info={"ungraded": 1.0, "acc": 1.0})])
    assert done.metrics["klear/positives"] == 2.0
    assert done.metrics["klear/positive_tokens"] == 8.0


UNEVEN = [
    [RIGHT.but(tokens=2), RIGHT.but(tokens=5), WRONG],
    [RIGHT.but(tokens=3), WRONG, CUT],
    [WRONG, RIGHT.but(tokens=7), CUT],
    [WRONG, RIGHT.but(tokens=1), WRONG.but(tokens=7)],
]
"""In two mini-batches: a and b with 2 + 5 + 3 positive tokens of 5 live responses, c and d with 7 + 1 of 5."""


@pytest.mark.parametrize("ranks", [(0,), (0, 1)])
def test_every_sample_knows_the_tokens_of_the_correct_responses_of_its_mini_batch(step, ranks):
    done = step(*UNEVEN, mini_batch_size=2, ranks=ranks)
    assert seen_by_mini_batch(done, "klear_positive_tokens") == [{10}, {8}]


@pytest.mark.parametrize("ranks", [(0,), (0, 1)])
def test_every_sample_knows_the_responses_that_train_in_its_mini_batch_without_padding(step, ranks):
    done = step(UNEVEN[0], UNEVEN[1], UNEVEN[2], mini_batch_size=2, ranks=ranks)
    # a alone, then b and c: 3 and 2 + 2 of 6 rows.
    assert done.mini_batches[0].count(PAD) == 3
    assert seen_by_mini_batch(done, "klear_live_responses") == [{3}, {4}]


def test_a_mini_batch_without_a_correct_response_has_no_positive_token(step):
    half = WRONG.but(score=0.5)
    done = step([half, WRONG, WRONG], [RIGHT, WRONG, WRONG], mini_batch_size=1)
    assert seen_by_mini_batch(done, "klear_positive_tokens") == [{0}, {4}]


def test_tokens_that_the_policy_did_not_write_are_not_counted(step):
    done = step([RIGHT.but(tokens=6, unwritten=(2, 3)), WRONG, WRONG])
    assert seen_by_mini_batch(done, "klear_positive_tokens") == [{4}]


def test_all_rows_of_a_correct_session_are_positive(step):
    done = step([RIGHT.but(outputs=2), WRONG, WRONG], mini_batch_size=2)
    assert positives(done) == {"a0", "a0'"}
    assert seen_by_mini_batch(done, "klear_positive_tokens") == [{8}]


def test_the_metrics_are_the_positives_and_their_tokens_of_the_whole_step(step):
    done = step(*UNEVEN, mini_batch_size=2)
    assert (done.metrics["klear/positives"], done.metrics["klear/positive_tokens"]) == (5.0, 18.0)


def test_tokens_that_rollout_correction_rejects_are_not_counted(step):
    # δ = e² of the second token, between model and rollout: beyond 2.
    odd = RIGHT.but(rollout_log_probs={1: -3.0})
    done = step([odd, WRONG, WRONG], algorithm=REJECTION)
    assert done.fields["a0"]["response_mask"].tolist() == [1, 0, 1, 1]
    assert seen_by_mini_batch(done, "klear_positive_tokens") == [{3}]


def test_a_response_that_rollout_correction_rejects_throughout_is_not_counted_as_live(step):
    odd = WRONG.but(rollout_log_probs=dict.fromkeys(range(4), -3.0))
    done = step([RIGHT, odd, WRONG], algorithm=REJECTION)
    assert seen_by_mini_batch(done, "klear_live_responses") == [{2}]


def test_tokens_that_rollout_correction_rejects_leave_the_mask_that_verls_workers_count_tokens_by(step):
    done = step([RIGHT.but(rollout_log_probs={1: -3.0}), WRONG, WRONG], algorithm=REJECTION)
    assert done.fields["a0"]["loss_mask"].tolist() == [1, 0, 1, 1]


def test_with_alpha_a_reward_manager_must_say_which_responses_are_correct(step):
    alpha = {"actor": {"policy_loss": {"positive_lm_coef": 0.1}}}
    assert step([RIGHT, WRONG], **alpha).metrics["klear/positives"] == 1.0
    silent = RIGHT.but(info={"acc": None})
    with pytest.raises(DataError, match="carries no 'acc'"):
        step([silent, WRONG], **alpha)
    assert step([silent, WRONG]).metrics["klear/positives"] == 0.0
