# SPDX-License-Identifier: Apache-2.0
"""What `split_groups` and `row_order` promise for any number and size of groups, ranks and mini-batches."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.errors import DataError
from klear_verl.trainer.packing import fill, row_order, split_groups


@st.composite
def groups_of_at_most_n(draw):
    """Groups as a step leaves them: at least two live responses, at most n; and `ppo_mini_batch_size` prompts."""
    n = draw(st.integers(2, 8))
    rows_of_group = draw(st.lists(st.integers(2, n), min_size=1, max_size=80))
    return rows_of_group, draw(st.integers(1, 24)), n


@st.composite
def groups_of_any_size(draw):
    """Groups with several rows a response: what agent loops leave. Each alone fits a mini-batch."""
    prompts, n = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    return draw(st.lists(st.integers(1, prompts * n), min_size=1, max_size=60)), prompts, n


@given(st.one_of(groups_of_at_most_n(), groups_of_any_size()))
def test_every_group_is_in_one_mini_batch_whole_and_in_order(drawn):
    rows_of_group, prompts, n = drawn
    split = split_groups(rows_of_group, prompts, prompts * n)
    assert [group for part in split for group in part] == list(range(len(rows_of_group)))


def test_the_places_that_groups_leave_are_filled_with_padding_each_used_once():
    keys = [["a0", "a1"], ["b0", "b1"], ["c0"]]
    filled = fill([[0], [1, 2]], keys, ["p0", "p1", "p2"], rows=4)
    assert filled == [["a0", "a1", "p0", "p1"], ["b0", "b1", "c0", "p2"]]


@given(st.one_of(groups_of_at_most_n(), groups_of_any_size()))
def test_no_mini_batch_has_more_rows_than_verls_workers_cut(drawn):
    rows_of_group, prompts, n = drawn
    split = split_groups(rows_of_group, prompts, prompts * n)
    assert all(0 < sum(rows_of_group[group] for group in part) <= prompts * n for part in split)


@given(st.one_of(groups_of_at_most_n(), groups_of_any_size()))
def test_mini_batches_differ_by_at_most_one_group(drawn):
    rows_of_group, prompts, n = drawn
    sizes = [len(part) for part in split_groups(rows_of_group, prompts, prompts * n)]
    assert max(sizes) - min(sizes) <= 1


@given(groups_of_at_most_n())
def test_as_few_mini_batches_as_hold_the_groups_where_no_group_has_more_than_n_rows(drawn):
    rows_of_group, prompts, n = drawn
    assert len(split_groups(rows_of_group, prompts, prompts * n)) == math.ceil(len(rows_of_group) / prompts)


def test_a_group_that_fits_no_mini_batch_is_refused_with_the_numbers():
    with pytest.raises(DataError, match=r"a group of 9 rows does not fit a mini-batch of 8"):
        split_groups([4, 9], 1, 8)


@st.composite
def mini_batches_on_ranks(draw):
    """The work of every row of mini-batches of a multiple of `ranks` rows, and a way to share a mini-batch out."""
    ranks = draw(st.integers(1, 8))
    rows = ranks * draw(st.integers(1, 6))
    works = draw(st.lists(st.lists(st.integers(1, 999), min_size=rows, max_size=rows), min_size=1, max_size=5))
    shuffled = [draw(st.permutations(range(rows))) for _ in works]
    shares = iter([[list(order[rank::ranks]) for rank in range(ranks)] for order in shuffled])
    return works, ranks, rows, lambda work, parts: next(shares)


@given(mini_batches_on_ranks())
def test_every_row_appears_once(drawn):
    works, ranks, rows, balance = drawn
    assert sorted(row_order(works, ranks, balance)) == list(range(rows * len(works)))


@given(mini_batches_on_ranks())
def test_what_verl_cuts_is_an_equal_share_of_the_mini_batch_that_was_meant(drawn):
    """As verl cuts: a contiguous part of the batch for each rank, then consecutive mini-batches of it."""
    works, ranks, rows, balance = drawn
    order = row_order(works, ranks, balance)
    per_rank, share = len(order) // ranks, rows // ranks
    for number in range(len(works)):
        cut = [order[rank * per_rank + number * share :][:share] for rank in range(ranks)]
        assert sorted(row for part in cut for row in part) == list(range(number * rows, (number + 1) * rows))
