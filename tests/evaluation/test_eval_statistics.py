# SPDX-License-Identifier: Apache-2.0
"""avg@n, pass@k and the bootstrap: hand-worked values and properties."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.evaluation.statistics import avg_at_n, bootstrap_ci95, mean_pass_at_k, pass_at_k, reported_ks

OUTCOMES = st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=2, max_size=12)


def test_avg_at_n_is_the_mean_of_the_problems_rates():
    assert avg_at_n([[True, False, False, False], [True, True, False, False]]) == pytest.approx(0.375)


def test_avg_at_n_weighs_problems_equally_when_one_has_fewer_graded_samples():
    assert avg_at_n([[True], [False, False, False]]) == pytest.approx(0.5)


def test_avg_at_n_is_none_when_nothing_was_graded():
    assert avg_at_n([[], []]) is None


def test_pass_at_2_of_4_samples_with_1_correct_is_one_half():
    # 3 of the 6 pairs contain the correct one.
    assert pass_at_k(4, 1, 2) == pytest.approx(0.5)


def test_pass_at_10_of_200_samples_with_5_correct_as_worked_by_hand():
    # 1 - prod_{i=196..200} (1 - 10/i) = 1 - (190*189*188*187*186)/(200*199*198*197*196) = 0.2282...
    by_hand = 1.0 - (190 * 189 * 188 * 187 * 186) / (200 * 199 * 198 * 197 * 196)
    assert pass_at_k(200, 5, 10) == pytest.approx(by_hand, abs=1e-12)


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_k_subsets_with_a_correct_sample(case):
    n, c, k = case
    subsets = list(combinations(range(n), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(min(subset) < c for subset in subsets) / len(subsets))


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_pass_at_1_is_the_share_of_correct_samples(case):
    n, c = case
    assert pass_at_k(n, c, 1) == pytest.approx(c / n)


@pytest.mark.parametrize("case", [(4, 5, 1), (4, -1, 1), (4, 1, 0), (4, 1, 5)])
def test_pass_at_k_refuses_impossible_counts(case):
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(*case)


def test_mean_pass_at_k_is_none_when_a_problem_has_fewer_than_k_samples():
    assert mean_pass_at_k([[True, True], [True]], 2) is None


@given(OUTCOMES)
def test_mean_pass_at_k_never_falls_with_k(outcomes):
    shortest = min(len(samples) for samples in outcomes)
    values = [mean_pass_at_k(outcomes, k) for k in range(1, shortest + 1)]
    assert all(low <= high + 1e-12 for low, high in pairwise(values))


@given(OUTCOMES, st.integers(0, 2**32))
def test_interval_lies_between_the_worst_and_the_best_problem(outcomes, seed):
    low, high = bootstrap_ci95(outcomes, seed)
    rates = [sum(samples) / len(samples) for samples in outcomes]
    assert min(rates) - 1e-9 <= low <= high <= max(rates) + 1e-9


def test_interval_is_the_same_for_the_same_seed():
    outcomes = [[True, False], [False, False], [True, True]]
    assert bootstrap_ci95(outcomes, 7) == bootstrap_ci95(outcomes, 7)


def test_interval_has_the_width_of_the_normal_approximation_for_many_problems():
    # 400 problems, half of them solved: standard error 0.5 / 20 = 0.025, so 0.5 -+ 1.96 * 0.025.
    low, high = bootstrap_ci95([[True]] * 200 + [[False]] * 200, seed=0)
    assert (low, high) == pytest.approx((0.451, 0.549), abs=0.004)


def test_interval_is_none_for_a_single_problem():
    assert bootstrap_ci95([[True, False]], seed=0) is None


def test_reported_ks_are_powers_of_two_and_n():
    assert reported_ks(1) == [1]
    assert reported_ks(4) == [1, 2, 4]
    assert reported_ks(6) == [1, 2, 4, 6]
