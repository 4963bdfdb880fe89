# SPDX-License-Identifier: Apache-2.0
"""The gradient that verl's workers hand to the optimizer is the gradient of the equations, however the mini-batch is
cut, packed, padded and sharded.

Everything is float64, and agrees to about 4e-15 of each parameter's largest gradient. `TOLERANCE` leaves room for other
processors' order of summation.
"""

import pytest
import torch

from tests.trainer.gradients import gradient_cases as cases
from tests.trainer.gradients.gradient_runs import largest_difference, relative_distance
from tests.trainer.gradients.parameters import named

TOLERANCE = 1e-12


def check(runs, case):
    assert len(runs[case].tensors) == 1
    assert largest_difference(runs[case].tensors[0], runs.reference(case)[0].gradient) < TOLERANCE


@pytest.mark.parametrize("case", named(cases.sharding()))
def test_gradient_is_the_references_however_the_mini_batch_is_cut(runs, case):
    check(runs, case)


@pytest.mark.parametrize("case", named(cases.objectives()))
def test_gradient_is_the_references_for_every_loss(runs, case):
    check(runs, case)


@pytest.mark.parametrize("case", named(cases.positives()))
def test_gradient_is_the_references_wherever_the_correct_responses_are(runs, case):
    check(runs, case)


@pytest.mark.parametrize("case", named(cases.mostly_padding()))
def test_gradient_is_the_references_where_a_rank_has_nothing_but_padding(runs, case):
    check(runs, case)


@pytest.mark.parametrize("case", named(cases.ulysses()))
def test_gradient_is_the_references_with_a_sequence_over_two_ranks(runs, case):
    check(runs, case)


@pytest.mark.parametrize("case", named(cases.tied_embeddings()))
def test_gradient_is_the_references_with_tied_embeddings(runs, case):
    check(runs, case)


def test_sequence_parallelism_without_flash_attention_would_train_on_another_gradient(runs):
    """Why the preflight refuses it: verl exchanges heads inside its flash attention, and nowhere else."""
    case = cases.ULYSSES_WITHOUT_FLASH
    assert relative_distance(runs[case].tensors[0], runs.reference(case)[0].gradient) > 0.1


@pytest.mark.parametrize("case", named(cases.precisions()))
def test_gradient_in_training_precision_is_the_references_within_that_precision(runs, case):
    limit = {"float32": 1e-5, "bfloat16": 0.05}[case.engine.dtype]
    assert relative_distance(runs[case].tensors[0], runs.reference(case)[0].gradient) < limit


@pytest.mark.parametrize("case", named(cases.faults()))
def test_a_planted_fault_shows_in_the_gradient(runs, case):
    """The comparison can fail: each fault changes the gradient by far more than any tolerance above."""
    assert largest_difference(runs[case].tensors[0], runs.reference(case)[0].gradient) > 1e-3


def test_every_region_and_every_kind_of_row_occurs(runs):
    """The comparisons mean something only if there is something of everything."""
    found = runs.reference(cases.Case(cases.PADDED, cases.Objective(mode="vanilla")))[0].diagnostics
    assert all(found[f"actor/gppo/frac_{region}"] > 0.02 for region in ("below_neg", "above_pos", "below_pos"))
    assert found["actor/gppo/frac_above_neg"] > 0.02
    assert found["actor/pg_clipfrac_lower"] > 0
    rows = runs.rows(cases.PADDED)
    assert len({len(row.response) for row in rows if not row.padding}) > 4
    assert any(0 < int(row.live[: int(row.live.nonzero().max())].sum()) < row.live.nonzero().max() for row in rows[:9])
    assert all(torch.isfinite(row.old_log_prob).all() for row in rows)
