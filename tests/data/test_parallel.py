# SPDX-License-Identifier: Apache-2.0
"""Rows that are checked at once come out in their order, and the first bad one is the one that is told."""

import threading
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.data.parallel import map_in_order


@given(st.lists(st.integers(), max_size=300), st.integers(1, 4))
def test_results_come_in_the_order_of_the_rows(rows, workers):
    assert list(map_in_order(lambda row: row + 1, rows, workers)) == [row + 1 for row in rows]


@given(st.sets(st.integers(0, 500), min_size=1), st.integers(1, 4))
def test_the_first_bad_row_is_raised_however_many_there_are(bad, workers):
    def check(row):
        if row in bad:
            raise ValueError(row)

    with pytest.raises(ValueError, match=f"^{min(bad)}$"):
        list(map_in_order(check, range(600), workers))


def test_rows_are_read_only_so_far_ahead_and_none_is_begun_once_the_caller_stops():
    begun, read = [], []

    def rows():
        for number in count():
            read.append(number)
            yield number

    results = map_in_order(begun.append, rows(), 2)
    next(results)
    assert len(read) < 1000
    results.close()
    assert len(begun) <= len(read)


def test_a_check_that_waits_holds_up_no_other():
    both = threading.Barrier(2, timeout=120)  # passed only if two chunks are checked at once

    def check(row):
        if row % 32 == 0:
            both.wait()

    assert len(list(map_in_order(check, range(64), 2))) == 64
