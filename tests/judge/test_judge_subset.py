# SPDX-License-Identifier: Apache-2.0
"""The drawn tests depend on the problem's id and the seed, and on nothing else."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from klear_verl.judge.problem import draw_subset
from klear_verl.utils.seeds import stable_seed


@given(st.integers(0, 60), st.integers(0, 20), st.text(), st.integers())
def test_subset_is_in_order_without_repeats_and_of_the_asked_size(total: int, count: int, name: str, seed: int) -> None:
    drawn = draw_subset(range(total), count, name, seed)
    assert list(drawn) == sorted(set(drawn))
    assert len(drawn) == (min(total, count) if count else total)


@given(st.text(), st.integers())
def test_same_id_and_seed_draw_the_same_tests(name: str, seed: int) -> None:
    assert draw_subset(range(100), 16, name, seed) == draw_subset(range(100), 16, name, seed)


@given(st.lists(st.integers()), st.integers(1, 20), st.text(), st.integers())
def test_what_the_tests_hold_does_not_matter(tests: list[int], count: int, name: str, seed: int) -> None:
    places = draw_subset(range(len(tests)), count, name, seed)
    assert draw_subset(tests, count, name, seed) == tuple(tests[place] for place in places)


def test_draw_never_changes() -> None:
    # What CPython 3.11 and 3.12 draw: a change would change every reward of a run that goes on after an upgrade.
    assert draw_subset(range(20), 5, "p", 0) == (2, 5, 9, 17, 18)


def test_other_processes_with_other_hash_seeds_draw_the_same_tests() -> None:
    code = "from klear_verl.judge.problem import draw_subset; print(draw_subset(range(100), 16, 'p', 3))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout == f"{draw_subset(range(100), 16, 'p', 3)}\n"


def test_ids_and_seeds_draw_different_tests() -> None:
    draws = {draw_subset(range(1000), 16, name, seed) for name in ("a", "b", "c") for seed in range(10)}
    assert len(draws) == 30


def test_every_test_is_drawn_about_equally_often() -> None:
    counts = [0] * 20
    for name in range(2000):
        for index in draw_subset(range(20), 5, str(name), 0):
            counts[index] += 1
    assert all(400 < count < 600 for count in counts)  # expected 500, standard deviation 19


def test_seed_of_parts_does_not_confuse_their_borders() -> None:
    assert stable_seed("ab", "c") != stable_seed("a", "bc")
