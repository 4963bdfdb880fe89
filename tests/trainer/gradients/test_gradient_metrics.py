# SPDX-License-Identifier: Apache-2.0
"""The losses and diagnostics of a mini-batch are those of the mini-batch, however it is cut, as verl adds them up: the
mean over ranks, the sum over micro-batches.

The losses are float64 here. The diagnostics sort tokens by log-ratios in float32, hence 1e-6.
"""

from dataclasses import replace

import pytest

from tests.trainer.gradients import gradient_cases as cases
from tests.trainer.gradients.parameters import named

DIAGNOSTICS = 1e-6


EVERY_CUT = [*cases.sharding(), *cases.ulysses(), *cases.positives(), *cases.mostly_padding(), *cases.objectives()]


@pytest.mark.parametrize("case", named(EVERY_CUT))
def test_the_losses_that_are_logged_are_those_of_the_equations(runs, case):
    logged, (expected,) = runs[case].metrics, runs.reference(case)
    assert logged["actor/pg_loss"] == pytest.approx(expected.policy_loss, rel=1e-12, abs=1e-13)
    if case.objective.alpha:
        assert logged["actor/positive_lm_loss"] == pytest.approx(expected.lm_loss, rel=1e-12)
    else:
        assert "actor/positive_lm_loss" not in logged


@pytest.mark.parametrize("case", named(EVERY_CUT))
def test_the_diagnostics_are_those_of_the_whole_mini_batch(runs, case):
    expected = runs.reference(case)[0].diagnostics
    names = {name for name in runs[case].metrics if name.startswith("actor/gppo/")}
    assert {name for name in expected if name.startswith("actor/gppo/")} == names
    assert {name: runs[case].metrics[name] for name in expected} == pytest.approx(expected, abs=DIAGNOSTICS)


@pytest.mark.parametrize("case", named(case for case in cases.positives() if case.batch.positives == "none"))
def test_no_positive_response_gives_a_loss_of_exactly_zero(runs, case):
    assert runs[case].metrics["actor/positive_lm_loss"] == 0.0


def of_the_actor(metrics):
    return {name: value for name, value in metrics.items() if name.startswith("actor/")}


@pytest.mark.parametrize("case", named(cases.influence()))
def test_other_contents_where_nothing_trains_leave_every_metric(runs, case):
    """Bit for bit. NaN and infinity for GPPO alone: verl's own losses multiply what is masked by 0, and NaN * 0 is
    NaN."""
    plain = of_the_actor(runs[case].metrics)
    assert {"actor/pg_loss", "actor/positive_lm_loss", "actor/gppo/entropy_rest"} < plain.keys()
    for contents in ("finite", "non_finite") if case.objective.mode == "gppo" else ("finite",):
        assert of_the_actor(runs[cases.with_contents(case, contents)].metrics) == plain


def test_a_planted_fault_shows_in_the_diagnostics(runs):
    case = cases.METRICS_FAULT
    expected = runs.reference(replace(case, mutant=""))[0].diagnostics
    found = {name: runs[case].metrics[name] for name in expected}
    assert found != pytest.approx(expected, abs=100 * DIAGNOSTICS)
