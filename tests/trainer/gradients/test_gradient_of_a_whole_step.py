# SPDX-License-Identifier: Apache-2.0
"""A step of two mini-batches, in the order of the trainer's own `row_order`: each update's gradient, the weights after
both and the metrics are those of the mini-batches that were meant, on one rank and on two."""

import pytest

from tests.trainer.gradients import gradient_cases as cases
from tests.trainer.gradients import reference
from tests.trainer.gradients.gradient_runs import largest_difference
from tests.trainer.gradients.parameters import named


@pytest.mark.parametrize("case", named(cases.whole_steps()))
def test_each_mini_batch_has_the_references_gradient(runs, case):
    gradients, expected = runs[case].tensors, runs.reference(case)
    assert len(gradients) == len(expected) == 2
    for gradient, result in zip(gradients, expected, strict=True):
        assert largest_difference(gradient, result.gradient) < 1e-12


@pytest.mark.parametrize("case", named(cases.whole_steps()))
def test_shares_of_tokens_are_the_mean_over_the_mini_batches(runs, case):
    first, second = (result.diagnostics for result in runs.reference(case))
    names = [name for name in first if "/frac_" in name or name.startswith(("actor/pg_", "actor/ppo_kl"))]
    expected = {name: (first[name] + second[name]) / 2 for name in names}
    assert {name: runs[case].metrics[name] for name in names} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("case", named(cases.whole_steps()))
def test_shares_of_the_gradient_are_those_of_both_mini_batches_together(runs, case):
    results = runs.reference(case)
    total = sum(result.gradient_mass for result in results)
    for name in (name for name in results[0].diagnostics if "/grad_share_" in name):
        mass = sum(result.diagnostics[name] * result.gradient_mass for result in results)
        assert runs[case].metrics[name] == pytest.approx(mass / total, abs=1e-6)


@pytest.mark.parametrize("case", named(cases.updates()))
def test_two_clipped_adamw_steps_end_at_the_references_weights(runs, case):
    rows = runs.rows(case.batch)
    mini_batches = [[row for row in rows if row.mini_batch == number] for number in (0, 1)]
    weights, norms = reference.updated(runs.models[False], mini_batches, case.objective, lr=cases.LR)
    assert min(norms) > 1, "the clip at 1 must bite"
    assert runs[case].metrics["grad_norm"] == pytest.approx(sum(norms) / 2, rel=1e-6)  # FSDP1 takes it in float32
    moved = largest_difference(weights, {name: value.detach() for name, value in runs.models[False].named_parameters()})
    assert moved > 1e-3
    assert largest_difference(runs[case].tensors[0], weights) < 1e-6 * moved
