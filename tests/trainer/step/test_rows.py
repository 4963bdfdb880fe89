# SPDX-License-Identifier: Apache-2.0
"""Which rows of a step reach the workers, and in which mini-batch of which rank."""

import pytest

from tests.trainer.step.answers import CUT, EMPTY, PAD, RIGHT, UNGRADED, WRONG

SIGNAL = [RIGHT, WRONG, WRONG]
LEVEL = [RIGHT, RIGHT, RIGHT]


def test_only_live_responses_of_groups_that_train_reach_the_workers(step):
    done = step([RIGHT, WRONG, CUT], LEVEL, [RIGHT, UNGRADED, EMPTY], [WRONG, RIGHT, WRONG])
    assert set(done.names) == {"a0", "a1", "d0", "d1", "d2", PAD}


@pytest.mark.parametrize("masked", [CUT, UNGRADED, EMPTY], ids=["overlong", "ungraded", "empty"])
def test_a_masked_response_is_gone_before_the_first_forward_pass(step, masked):
    done = step([RIGHT, masked, WRONG], mini_batch_size=1)
    assert done.workers.in_queue == ["a0", "a2", PAD]


def test_groups_beyond_the_batch_do_not_train(step):
    done = step(SIGNAL, LEVEL, SIGNAL, SIGNAL, batch_size=2, mini_batch_size=2, klear={"groups": {"generate": 4}})
    assert done.mini_batches == [["a0", "a1", "a2", "c0", "c1", "c2"]]


def test_what_does_not_train_leaves_the_queue_and_what_trains_stays(step):
    done = step([RIGHT, WRONG, CUT], LEVEL, SIGNAL, batch_size=1, klear={"groups": {"generate": 3}})
    assert sorted(done.names) == done.workers.in_queue
    assert set(done.workers.in_queue) == {"a0", "a1", PAD}


def test_nothing_of_a_step_is_left_in_the_queue_once_verl_has_cleared_it(step):
    assert step([RIGHT, WRONG, CUT], LEVEL).left == []


def test_a_batch_of_whole_mini_batches_is_not_padded(step):
    done = step(SIGNAL, SIGNAL, mini_batch_size=1)
    assert sorted(done.names) == ["a0", "a1", "a2", "b0", "b1", "b2"]


@pytest.mark.parametrize(("mini_batch_size", "padding"), [(1, 1), (2, 1), (3, 4)])
def test_padding_fills_up_to_whole_mini_batches(step, mini_batch_size, padding):
    # 5 rows of 2 groups; a mini-batch has 3 rows a prompt.
    done = step([RIGHT, WRONG, CUT], SIGNAL, mini_batch_size=mini_batch_size)
    assert done.names.count(PAD) == padding


def test_padding_has_no_token_that_trains(step):
    done = step([RIGHT, WRONG, CUT], SIGNAL)
    assert len(done.padding["response_mask"]) == 7
    assert not any(mask.any() for mask in (*done.padding["response_mask"], *done.padding["loss_mask"]))


def test_groups_are_spread_over_the_mini_batches_whole_and_in_the_order_of_the_data(step):
    done = step(SIGNAL, SIGNAL, [RIGHT, CUT, WRONG], mini_batch_size=2)
    # 3 groups of at most 2 a mini-batch: 1 and 2, filled up to 6 rows.
    assert done.mini_batches == [["a0", "a1", "a2", PAD, PAD, PAD], ["b0", "b1", "b2", "c0", "c2", PAD]]


def test_every_rank_has_its_share_of_every_mini_batch(step):
    done = step(SIGNAL, SIGNAL, SIGNAL, SIGNAL, mini_batch_size=2, ranks=(0, 1))
    assert [[len(rows) for rows in rank] for rank in done.workers.shares] == [[3, 3], [3, 3]]
    assert done.mini_batches == [["a0", "a1", "a2", "b0", "b1", "b2"], ["c0", "c1", "c2", "d0", "d1", "d2"]]


def test_processes_that_share_a_sequence_have_one_share_of_the_rows(step):
    done = step(SIGNAL, SIGNAL, mini_batch_size=2, ranks=(0, 0, 1, 1))
    assert [[len(rows) for rows in rank] for rank in done.workers.shares] == [[3], [3]]


def test_ranks_share_a_mini_batch_by_length_and_not_by_group(step):
    short, long = RIGHT.but(tokens=1), WRONG.but(tokens=7)
    done = step([short, long, long, long], [short, short, short, long], mini_batch_size=2, ranks=(0, 1))
    # Four long and four short rows: two of each to a rank.
    lengths = [[len(done.fields[name]["responses"]) for name in rank[0]] for rank in done.workers.shares]
    assert [sorted(rank) for rank in lengths] == [[1, 1, 7, 7], [1, 1, 7, 7]]


def test_all_rows_of_a_session_with_several_outputs_train(step):
    done = step([RIGHT.but(outputs=2), WRONG, WRONG], mini_batch_size=2)
    assert set(done.names) == {"a0", "a0'", "a1", "a2", PAD}


def test_all_rows_of_a_masked_session_leave(step):
    done = step([RIGHT, WRONG, CUT.but(outputs=2)], mini_batch_size=2)
    assert set(done.names) == {"a0", "a1", PAD}


WEIGHTS = {"rollout_correction": {"rollout_is": "token", "rollout_is_threshold": 2.0}}


def test_every_rank_gets_the_same_fields_whether_or_not_it_has_padding(step):
    # The queue leaves out, without a word, a field that one of the rows asked for has not got.
    done = step([RIGHT, WRONG, CUT], SIGNAL, mini_batch_size=2, ranks=(0, 1), algorithm=WEIGHTS)
    assert sorted(PAD in rank[0] for rank in done.workers.shares) == [False, True]
    first, second = (set(rank[0].keys()) for rank in done.workers.batches)
    assert first == second
    assert {"advantages", "rollout_is_weights", "klear_positive"} <= first
