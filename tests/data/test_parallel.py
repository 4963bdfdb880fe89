# SPDX-License-Identifier: Apache-2.0
"""Rows that are checked at once come out in their order, and the first bad one is the one that is told."""

import threading
from itertools import count
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.data import parallel
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


def test_rows_are_read_only_so_far_ahead():
    read = []

    def rows():
        for number in count():
            read.append(number)
            yield number

    results = map_in_order(lambda row: row, rows(), 2)
    next(results)
    results.close()
    assert len(read) < 1000


def test_no_row_is_begun_once_one_was_bad(monkeypatch):
    stopped, second_chunk, begun = threading.Event(), threading.Event(), []
    monkeypatch.setattr(parallel, "threading", SimpleNamespace(Event=lambda: stopped))

    def check(row):
        begun.append(row)
        if row == 0:
            assert second_chunk.wait(60)
            raise ValueError(row)
        if row == 32:
            second_chunk.set()
            assert stopped.wait(60)

    with pytest.raises(ValueError, match=r"^0$"):
        list(map_in_order(check, range(64), 2))
    assert sorted(begun) == [0, 32]


def test_a_check_that_waits_holds_up_no_other():
    both = threading.Barrier(2, timeout=120)  # passed only if two chunks are checked at once

    def check(row):
        if row % 32 == 0:
            both.wait()

    assert len(list(map_in_order(check, range(64), 2))) == 64
