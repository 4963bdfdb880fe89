# SPDX-License-Identifier: Apache-2.0
"""Grouping runs by seed, and the figures behind a band."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.report.seeds import band, group, smooth
from klear_verl.report.sources import discover
from tests.report.sample_runs import rl_run, sft_run


def test_a_band_is_mean_minimum_and_maximum_at_each_step():
    curve = band("x", [{1: 1.0, 2: 4.0}, {1: 3.0, 2: 8.0}])
    assert curve.mean.tolist() == [2.0, 6.0]
    assert (curve.low.tolist(), curve.high.tolist()) == ([1.0, 4.0], [3.0, 8.0])
    assert curve.seeds == 2


def test_a_run_that_stopped_early_counts_only_where_it_logged():
    assert band("x", [{1: 1.0, 2: 5.0}, {1: 3.0}]).mean.tolist() == [2.0, 5.0]


def test_no_values_make_no_curve():
    assert band("x", [{}, {}]) is None


def test_different_seeds_of_a_recipe_become_one_line(tmp_path):
    for seed in (0, 1, 2):
        rl_run(tmp_path / f"s{seed}", seed=seed, steps=3)
    (stage,) = group(discover([tmp_path]).runs)
    assert [(label, len(runs)) for label, runs in stage.lines] == [("mean of 3 seeds", 3)]


def test_the_same_seed_twice_is_a_comparison_not_a_mean(tmp_path):
    for name in ("gppo", "vanilla"):
        rl_run(tmp_path / name, steps=3)
    (stage,) = group(discover([tmp_path]).runs)
    assert [label for label, _ in stage.lines] == ["gppo", "vanilla"]


def test_compared_runs_of_equal_name_are_told_apart_by_their_parent(tmp_path):
    for name in ("gppo", "vanilla"):
        rl_run(tmp_path / name / "math_rl", steps=3)
    (stage,) = group(discover([tmp_path]).runs)
    assert [label for label, _ in stage.lines] == ["gppo/math_rl", "vanilla/math_rl"]


def test_stages_come_in_the_order_of_the_pipeline(tmp_path):
    rl_run(tmp_path / "a", code=True, steps=3)
    rl_run(tmp_path / "b", steps=3)
    sft_run(tmp_path / "c", steps=3)
    assert [stage.title for stage in group(discover([tmp_path]).runs)] == ["SFT", "Math RL", "Code RL"]


def test_smoothing_by_hand():
    assert smooth(np.array([0.0, 3.0, 6.0, 0.0, 1.0]), 3).tolist() == [0.0, 3.0, 3.0, 7 / 3, 1.0]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40), st.sampled_from([3, 5, 7]))
def test_smoothing_keeps_length_ends_and_range(values, window):
    smoothed = smooth(np.array(values), window)
    assert len(smoothed) == len(values)
    assert (smoothed[0], smoothed[-1]) == (values[0], values[-1])
    assert min(values) - 1e-9 <= smoothed.min() <= smoothed.max() <= max(values) + 1e-9


@given(st.floats(-5, 5), st.floats(-5, 5), st.integers(1, 30))
def test_smoothing_leaves_a_straight_line_alone(start, slope, length):
    line = start + slope * np.arange(length)
    np.testing.assert_allclose(smooth(line, 5), line, atol=1e-9)
