# SPDX-License-Identifier: Apache-2.0
"""What the trainer makes of the reward manager's fields: counts and means."""

import pytest

from klear_verl.reward.score import JUDGE_KEYS
from klear_verl.trainer.rollouts import Response, judge_metrics, response_metrics, reward_metrics

RIGHT = {"acc": 1.0, "pass_rate": 1.0, "task_score": 1.0, "ungraded": 0.0, "malformed": 0.0}
HALF = {"acc": 0.0, "pass_rate": 0.5, "task_score": 0.5, "ungraded": 0.0, "malformed": 0.0}
MALFORMED = {"acc": 0.0, "pass_rate": 0.0, "task_score": 0.0, "ungraded": 0.0, "malformed": 1.0}
UNGRADED = {"acc": 0.0, "task_score": 0.0, "ungraded": 1.0, "malformed": 0.0}


def responses(*infos, rewards=None, source="math"):
    rewards = rewards or [info.get("task_score", 0.0) for info in infos]
    return [
        Response((f"p_{n}_0",), "p", 0, n, 5, 10 * (n + 1), reward, info, source)
        for n, (info, reward) in enumerate(zip(infos, rewards, strict=True))
    ]


def test_counts_are_numbers_of_responses():
    metrics = reward_metrics([RIGHT, MALFORMED, UNGRADED, UNGRADED])
    assert (metrics["klear/ungraded"], metrics["klear/malformed"]) == (2.0, 1.0)


def test_means_are_over_the_graded_only():
    metrics = response_metrics(responses(RIGHT, HALF, MALFORMED, UNGRADED))
    assert metrics["klear/acc"] == pytest.approx(1 / 3)
    assert metrics["klear/pass_rate"] == pytest.approx(0.5)
    assert metrics["klear/task_score"] == pytest.approx(0.5)


def test_a_field_that_some_responses_lack_is_averaged_over_those_that_have_it():
    assert response_metrics(responses(HALF, {"acc": 1.0}))["klear/pass_rate"] == 0.5
    assert "klear/pass_rate" not in response_metrics(responses({"acc": 1.0}))


def test_rewards_are_after_penalties_and_also_by_data_source():
    mixed = responses(RIGHT, HALF, rewards=[1.0, 0.0]) + responses(HALF, rewards=[-1.0], source="code")
    metrics = response_metrics(mixed)
    assert metrics["klear/reward"] == 0.0
    assert (metrics["klear/source/math/reward"], metrics["klear/source/code/reward"]) == (0.5, -1.0)
    assert metrics["klear/source/math/acc"] == 0.5


def test_the_mean_length_is_over_all_responses():
    assert response_metrics(responses(RIGHT, UNGRADED, HALF))["klear/response_tokens"] == 20.0


def test_the_share_cut_off_by_the_length_limit_is_of_all_responses():
    assert reward_metrics([{**RIGHT, "overlong": 0.0}, {**UNGRADED, "overlong": 1.0}])["klear/overlong"] == 0.5


@pytest.mark.parametrize("infos", [[], [UNGRADED]])
def test_with_nothing_graded_there_are_counts_and_no_means(infos):
    metrics = response_metrics(responses(*infos))
    assert metrics["klear/ungraded"] == len(infos)
    assert metrics["klear/malformed"] == 0.0
    assert not {"klear/acc", "klear/pass_rate", "klear/task_score", "klear/reward"} & set(metrics)


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
