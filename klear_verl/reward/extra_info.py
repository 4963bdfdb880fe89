# SPDX-License-Identifier: Apache-2.0
"""What a result becomes in verl's `reward_extra_info`: the same keys for every sample, all finite floats, because verl
stacks them into arrays and averages them.

    acc           1 if the answer is entirely correct, else 0 (also 0 when ungraded: read it beside `ungraded`)
    pass_rate     share of tests passed; `acc` for math, 0 when ungraded
    task_score    the score before any format penalty: what group filters should use
    malformed     1 if the response lacks the think tags or an answer
    ungraded      1 if our machinery failed, so that the reward is a placeholder: leave the sample out
    overlong      1 if the response was cut off by the length limit
    is_code       1 for a code row; where it is 0 the keys below are 0 and mean nothing
    verdict_*     share of the tests with this verdict; all 0 where no program ran
    judge_ie      1 if the judge failed in the end (ungraded)
    judge_retries runs repeated because of a failure of ours
    judge_untested tests not run after time-outs or an exhausted budget; they count as failed
    judge_queue_s, judge_exec_s, judge_cpu_s  waiting, running, and CPU time of running
    judge_layers  active isolation layers; 0 where no program ran
"""

from __future__ import annotations

from klear_verl.reward.result import ScoreResult

UNGRADED_PLACEHOLDER = 0.0
VERDICTS = ("AC", "WA", "TLE", "MLE", "RE", "OLE", "CE")
SCORE_KEYS = ("acc", "pass_rate", "task_score", "malformed", "ungraded", "overlong")
VERDICT_KEYS = tuple(f"verdict_{verdict.lower()}" for verdict in VERDICTS)
JUDGE_KEYS = (
    "is_code",
    *VERDICT_KEYS,
    "judge_ie",
    "judge_retries",
    "judge_untested",
    "judge_queue_s",
    "judge_exec_s",
    "judge_cpu_s",
    "judge_layers",
)
EXTRA_INFO_KEYS = SCORE_KEYS + JUDGE_KEYS


def extra_info(result: ScoreResult, overlong: bool) -> dict[str, float]:
    """The reward_extra_info of a result: EXTRA_INFO_KEYS in their order."""
    acc = float(bool(result.acc))
    return {
        "acc": acc,
        "pass_rate": acc if result.pass_rate is None else result.pass_rate,
        "task_score": UNGRADED_PLACEHOLDER if result.task_score is None else result.task_score,
        "malformed": float(result.status == "malformed"),
        "ungraded": float(result.status == "ungraded"),
        "overlong": float(overlong),
        **(_judge_info(result) if result.is_code else dict.fromkeys(JUDGE_KEYS, 0.0)),
    }


def _judge_info(result: ScoreResult) -> dict[str, float]:
    tests = max(1, len(result.verdicts))
    return {
        "is_code": 1.0,
        **{key: result.verdicts.count(name) / tests for key, name in zip(VERDICT_KEYS, VERDICTS, strict=True)},
        "judge_ie": float("IE" in result.verdicts),
        "judge_retries": float(result.retries),
        "judge_untested": float(result.untested),
        "judge_queue_s": result.queue_s,
        "judge_exec_s": result.wall_s,
        "judge_cpu_s": result.cpu_s,
        "judge_layers": float(len(result.layers)),
    }
