# SPDX-License-Identifier: Apache-2.0
"""What the trainer makes of the reward manager's fields: counts, means, and scores for responses nobody could grade."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from klear_verl.reward.extra_info import JUDGE_KEYS
from klear_verl.trainer.reward_metrics import impute_ungraded, judge_metrics, reward_metrics

RIGHT = {"acc": 1.0, "pass_rate": 1.0, "task_score": 1.0, "ungraded": 0.0, "malformed": 0.0}
HALF = {"acc": 0.0, "pass_rate": 0.5, "task_score": 0.5, "ungraded": 0.0, "malformed": 0.0}
MALFORMED = {"acc": 0.0, "pass_rate": 0.0, "task_score": 0.0, "ungraded": 0.0, "malformed": 1.0}
UNGRADED = {"acc": 0.0, "task_score": 0.0, "ungraded": 1.0, "malformed": 0.0}


def scores(*totals, length=4):
    """Token-level scores as the reward loop writes them: everything on the last token."""
    tensor = torch.zeros(len(totals), length)
    tensor[:, -1] = torch.tensor(totals)
    return tensor


def imputed(totals, groups, failed):
    result = impute_ungraded(scores(*totals), list(groups), torch.tensor([bool(f) for f in failed]))
    return result.sum(dim=-1).tolist()


def grpo_advantages(token_scores, groups):
    from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

    index = np.array(list(groups), dtype=object)
    return compute_grpo_outcome_advantage(token_scores.clone(), torch.ones_like(token_scores), index)[0]


def test_counts_are_numbers_of_responses():
    metrics = reward_metrics([RIGHT, MALFORMED, UNGRADED, UNGRADED])
    assert (metrics["klear/ungraded"], metrics["klear/malformed"]) == (2.0, 1.0)


def test_means_are_over_the_graded_only():
    metrics = reward_metrics([RIGHT, HALF, MALFORMED, UNGRADED])
    assert metrics["klear/acc"] == pytest.approx(1 / 3)
    assert metrics["klear/pass_rate"] == pytest.approx(0.5)
    assert metrics["klear/task_score"] == pytest.approx(0.5)


def test_a_field_that_some_responses_lack_is_averaged_over_those_that_have_it():
    assert reward_metrics([HALF, {"acc": 1.0}])["klear/pass_rate"] == 0.5
    assert "klear/pass_rate" not in reward_metrics([{"acc": 1.0}])


def test_the_share_cut_off_by_the_length_limit_is_of_all_responses():
    assert reward_metrics([{**RIGHT, "overlong": 0.0}, {**UNGRADED, "overlong": 1.0}])["klear/overlong"] == 0.5


@pytest.mark.parametrize("infos", [[], [UNGRADED]])
def test_with_nothing_graded_there_are_counts_and_no_means(infos):
    metrics = reward_metrics(infos)
    assert metrics["klear/ungraded"] == len(infos)
    assert metrics["klear/malformed"] == 0.0
    assert not {"klear/acc", "klear/pass_rate", "klear/task_score"} & set(metrics)


def program(pass_rate=1.0, **changes):
    """The fields of a code response whose program ran under six layers."""
    fields = {**dict.fromkeys(JUDGE_KEYS, 0.0), "is_code": 1.0, "judge_layers": 6.0}
    return {**RIGHT, "pass_rate": pass_rate, **fields, "verdict_ac": pass_rate, "verdict_wa": 1 - pass_rate, **changes}


NO_PROGRAM = {**MALFORMED, **dict.fromkeys(JUDGE_KEYS, 0.0), "is_code": 1.0}
JUDGE_FAILED = {**program(0.0), **UNGRADED, "verdict_wa": 0.0, "judge_ie": 1.0, "judge_retries": 3.0}
LOST = {**JUDGE_FAILED, "judge_layers": 0.0}
MATH = {**RIGHT, **dict.fromkeys(JUDGE_KEYS, 0.0)}


def test_without_code_there_is_nothing_about_the_judge():
    assert judge_metrics([MATH, UNGRADED, {}]) == {}


def test_the_judges_means_are_over_the_programs_it_judged():
    metrics = judge_metrics([program(1.0), program(0.5, judge_cpu_s=0.2), MATH, NO_PROGRAM, JUDGE_FAILED, LOST])
    assert metrics["klear/judge/pass_rate"] == 0.75
    assert (metrics["klear/judge/verdict/ac"], metrics["klear/judge/verdict/wa"]) == (0.75, 0.25)
    assert metrics["klear/judge/verdict/tle"] == 0.0
    assert metrics["klear/judge/cpu_s"] == pytest.approx(0.1)


def test_the_shares_of_the_verdicts_add_up_to_one():
    metrics = judge_metrics([program(0.25), program(0.5, verdict_wa=0.25, verdict_re=0.25)])
    assert sum(value for name, value in metrics.items() if "/verdict/" in name) == pytest.approx(1.0)


def test_times_are_percentiles_over_the_programs_that_ran():
    ran = [program(judge_queue_s=float(n), judge_exec_s=n / 10) for n in range(101)]
    metrics = judge_metrics([*ran, NO_PROGRAM, MATH, LOST])
    assert [metrics[f"klear/judge/queue_s/{name}"] for name in ("p50", "p95", "max")] == [50.0, 95.0, 100.0]
    assert [metrics[f"klear/judge/exec_s/{name}"] for name in ("p50", "p95", "max")] == pytest.approx([5.0, 9.5, 10.0])


def test_failures_and_repeats_are_counted_and_the_weakest_isolation_is_shown():
    metrics = judge_metrics([program(judge_retries=1.0, judge_untested=13.0), program(judge_layers=5.0), LOST])
    assert metrics["klear/judge/ie"] == 1.0
    assert metrics["klear/judge/retries"] == 4.0
    assert metrics["klear/judge/untested"] == 13.0
    assert metrics["klear/judge/layers"] == 5.0


def test_where_no_program_ran_there_are_counts_alone():
    assert judge_metrics([NO_PROGRAM, LOST]) == {
        "klear/judge/ie": 1.0,
        "klear/judge/retries": 3.0,
        "klear/judge/untested": 0.0,
    }


def test_an_ungraded_response_gets_the_mean_of_the_graded_ones_of_its_group():
    assert imputed([1.0, 0.0, 0.5, -9.0], "aaaa", [0, 0, 0, 1]) == [1.0, 0.0, 0.5, 0.5]


def test_groups_do_not_mix_even_when_interleaved():
    assert imputed([1.0, 0.0, 0.0, 0.0], "abab", [0, 0, 1, 1]) == [1.0, 0.0, 1.0, 0.0]


def test_a_group_with_nothing_graded_gets_zero_throughout():
    assert imputed([-1.0, -1.0, 1.0], "aab", [1, 1, 0]) == [0.0, 0.0, 1.0]


def test_the_imputed_value_stands_on_the_first_token_alone():
    result = impute_ungraded(scores(1.0, 5.0), ["a", "a"], torch.tensor([False, True]))
    assert result.tolist() == [[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]]


def test_the_scores_given_are_not_changed():
    given_scores = scores(1.0, 5.0)
    impute_ungraded(given_scores, ["a", "a"], torch.tensor([False, True]))
    assert torch.equal(given_scores, scores(1.0, 5.0))


def test_verls_advantage_of_an_ungraded_response_is_exactly_zero_and_the_others_keep_their_signs():
    groups, failed = "aaaabbbb", torch.tensor([0, 0, 1, 0, 1, 1, 1, 1]).bool()
    token_scores = impute_ungraded(scores(1.0, -0.5, -1.0, 0.25, -1.0, -1.0, -1.0, -1.0), list(groups), failed)
    # Group a: mean of 1, -0.5 and 0.25 is 0.25, exact in binary; so the third response and the fourth sit on the mean.
    advantages = grpo_advantages(token_scores, groups)
    assert torch.equal(advantages[failed], torch.zeros(5, 4))
    assert (advantages[0] > 0).all() and (advantages[1] < 0).all() and (advantages[3] == 0).all()


@given(
    totals=st.lists(st.tuples(st.floats(-2, 2, width=32), st.booleans()), min_size=2, max_size=16),
    split=st.integers(0, 16),
)
@settings(deadline=None)
def test_for_any_scores_an_ungraded_response_is_off_its_groups_mean_by_rounding_at_most(totals, split):
    groups = "".join("a" if row < split else "b" for row in range(len(totals)))
    failed = torch.tensor([failed for _, failed in totals])
    sums = impute_ungraded(scores(*[total for total, _ in totals]), list(groups), failed).sum(-1)
    for group in "ab":
        members = torch.tensor([name == group for name in groups])
        if (members & failed).any():
            off = sums[members & failed].double() - sums[members].double().mean()
            assert off.abs().max() <= 4e-7  # two units in the last place of float32 at 2


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=8))
def test_where_all_are_graded_nothing_changes(totals):
    assert torch.equal(
        impute_ungraded(scores(*totals), ["a"] * len(totals), torch.zeros(len(totals)).bool()), scores(*totals)
    )
