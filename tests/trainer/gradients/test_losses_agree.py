# SPDX-License-Identifier: Apache-2.0
"""Where the losses are the same by their equations, verl's workers give the same gradient for them."""

from dataclasses import replace

import pytest

from tests.trainer.gradients import gradient_cases as cases
from tests.trainer.gradients.gradient_cases import OBJECTIVES
from tests.trainer.gradients.gradient_runs import largest_difference, relative_distance
from tests.trainer.gradients.parameters import named

AGGREGATIONS = ("token-mean", pytest.param("seq-mean-token-mean", marks=pytest.mark.thorough))


def gradient(runs, name, alpha, agg):
    objective = replace(OBJECTIVES[name], alpha=alpha, agg=agg)
    (case,) = (case for case in cases.objectives() if case.objective == objective)
    return runs[case].tensors[0]


@pytest.mark.parametrize("agg", AGGREGATIONS)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_gppo_with_both_betas_zero_is_clip_higher(runs, alpha, agg):
    """Both with dual clip, which verl's vanilla always has."""
    ours = gradient(runs, "gppo, β1=β2=0, dual clip zero_grad", alpha, agg)
    assert largest_difference(ours, gradient(runs, "vanilla", alpha, agg)) < 1e-12


def test_gppo_differs_from_clip_higher_and_cispo_where_tokens_are_clipped(runs):
    gradients = {name: gradient(runs, name, 0.0, "token-mean") for name in ("gppo", "vanilla", "cispo")}
    assert relative_distance(gradients["vanilla"], gradients["gppo"]) > 0.01
    assert relative_distance(gradients["cispo"], gradients["gppo"]) > 0.01


@pytest.mark.parametrize("case", named(cases.calm()))
def test_all_losses_agree_where_no_token_is_clipped(runs, case):
    gppo, *_ = cases.calm()
    assert runs[case].metrics["actor/gppo/frac_inside"] == pytest.approx(1.0, abs=1e-12)
    assert largest_difference(runs[case].tensors[0], runs[gppo].tensors[0]) < 1e-12
