# SPDX-License-Identifier: Apache-2.0
"""What does not train has no influence at all: masked tokens, masked responses and verl's no-op rows.

Lengths stay as they are, so every sum has the same terms in the same order and "no influence" is bit for bit.
"""

import pytest
import torch

from tests.trainer.gradients import gradient_cases as cases
from tests.trainer.gradients.gradient_runs import largest_difference
from tests.trainer.gradients.parameters import named


def same_bits(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("case", named(cases.influence()))
def test_other_contents_where_nothing_trains_leave_every_bit_of_the_gradient(runs, case):
    changed = cases.with_contents(case, "finite")
    assert same_bits(runs[changed].tensors[0], runs[case].tensors[0])
    assert runs[changed].metrics["actor/pg_loss"] == runs[case].metrics["actor/pg_loss"]


@pytest.mark.parametrize("case", named(case for case in cases.influence() if case.objective.mode == "gppo"))
def test_nan_and_infinity_where_nothing_trains_leave_every_bit_of_the_gradient(runs, case):
    """GPPO and the language-model term only: verl's own losses multiply what is masked by 0, and NaN * 0 is NaN."""
    changed = cases.with_contents(case, "non_finite")
    assert same_bits(runs[changed].tensors[0], runs[case].tensors[0])


@pytest.mark.parametrize("case", named(cases.influence()))
def test_masking_responses_and_removing_them_give_the_same_gradient(runs, case):
    removed = cases.without_masked_rows(case)
    assert largest_difference(runs[removed].tensors[0], runs[case].tensors[0]) < 1e-12


@pytest.mark.parametrize("case", named(cases.influence()))
def test_masked_responses_leave_the_denominators(runs, case):
    """The reference, which never sees them, agrees."""
    assert largest_difference(runs[case].tensors[0], runs.reference(case)[0].gradient) < 1e-12


def test_the_contents_do_differ(runs):
    plain = runs.rows(cases.MASKED)
    changed = runs.rows(cases.with_contents(cases.Case(cases.MASKED), "non_finite").batch)
    pairs = list(zip(plain, changed, strict=True))
    for before, after in pairs:
        assert torch.equal(before.live, after.live)
        assert torch.equal(before.old_log_prob[before.live], after.old_log_prob[after.live])
        assert not torch.isfinite(after.old_log_prob[~after.live]).any()
    assert sum(not torch.equal(before.response, after.response) for before, after in pairs) > 5
    assert (
        sum(not torch.equal(before.prompt, after.prompt) for before, after in pairs) == 5
    )  # those that are all masked
