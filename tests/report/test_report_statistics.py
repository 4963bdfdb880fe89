# SPDX-License-Identifier: Apache-2.0
"""Intervals over seeds: against tables, by hand, and by drawing."""

import math

import numpy as np
import pytest

from klear_verl.report.seeds import MeanInterval, mean_interval, paired_difference, t_quantile

# scipy.stats.t.ppf(0.975, df), SciPy 1.x.
QUANTILES = {
    1: 12.706204736174694,
    2: 4.302652729749462,
    3: 3.1824463052837078,
    4: 2.7764451051977934,
    5: 2.5705818356363146,
    9: 2.262157162798205,
    10: 2.228138851986274,
    30: 2.0422724563012378,
    100: 1.9839715185235518,
    1000: 1.9623390808264083,
}


@pytest.mark.parametrize(("freedom", "expected"), QUANTILES.items())
def test_the_t_quantile_is_scipys(freedom, expected):
    assert t_quantile(freedom) == pytest.approx(expected, rel=1e-12)


def test_the_interval_of_one_two_three_by_hand():
    # Standard deviation 1, standard error 1/√3, t(2) = 4.3027.
    found = mean_interval([1.0, 2.0, 3.0])
    assert (found.mean, found.seeds) == (2.0, 3)
    assert found.half == pytest.approx(4.302652729749462 / math.sqrt(3))


def test_one_seed_has_a_mean_and_no_interval():
    assert mean_interval([0.4]) == MeanInterval(0.4, None, 1)


def test_no_seed_has_no_mean():
    assert mean_interval([]) is None


def test_intervals_hold_the_true_mean_in_95_of_100_cases():
    generator = np.random.default_rng(0)
    intervals = [mean_interval(list(draw)) for draw in generator.normal(5.0, 2.0, size=(4000, 3))]
    held = np.mean([abs(found.mean - 5.0) <= found.half for found in intervals])
    assert held == pytest.approx(0.95, abs=0.01)  # 3 standard errors of the share


def test_what_a_seed_does_to_both_arms_cancels_out():
    reference = {0: 10.0, 1: 50.0, 2: 90.0}
    better = {seed: value + 1.0 for seed, value in reference.items()}
    assert paired_difference(better, reference) == MeanInterval(1.0, 0.0, 3)
    assert paired_difference(better, reference).shows_a_difference


def test_only_seeds_that_both_have_are_compared():
    assert paired_difference({0: 1.0, 1: 2.0, 7: 99.0}, {0: 0.0, 1: 1.0, 8: -99.0}) == MeanInterval(1.0, 0.0, 2)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


@pytest.mark.parametrize(
    ("differences", "shown"),
    [
        ([1.0, 2.0, 3.0], False),
        ([2.0, 2.5, 3.0], True),
        ([-2.0, -2.5, -3.0], True),
        ([5.0], False),
        ([0.8, 0.8], False),
        ([0.0, 0.0, 0.0], False),
    ],
)
def test_a_difference_is_shown_where_the_interval_leaves_0_out(differences, shown):
    # By hand: 2 ± 2.48, 2.5 ± 1.24.
    assert mean_interval(differences).shows_a_difference is shown
