# SPDX-License-Identifier: Apache-2.0
"""What the trainer does with the reward manager's extra fields: the step's counts, what the judge did, and the handling
of responses that could not be graded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from klear_verl.reward.extra_info import VERDICT_KEYS

COUNTS = ("ungraded", "malformed")
SHARES = ("overlong",)
MEANS = ("acc", "pass_rate", "task_score")


def reward_metrics(infos: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Metrics of one step from `reward_extra_info` of each response: counts of ungraded and malformed ones, the share
    cut off by the length limit, and means over the graded.

    verl's own `response_length/clip_ratio` compares with the longest response of the batch, not with the limit.
    """
    metrics = {f"klear/{name}": float(sum(bool(info.get(name, 0.0)) for info in infos)) for name in COUNTS}
    metrics |= {f"klear/{name}": sum(info.get(name, 0.0) for info in infos) / max(1, len(infos)) for name in SHARES}
    graded = [info for info in infos if not info.get("ungraded", 0.0)]
    for name in MEANS:
        values = [float(info[name]) for info in graded if name in info]
        if values:
            metrics[f"klear/{name}"] = sum(values) / len(values)
    return metrics


def judge_metrics(infos: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Metrics of one step's programs, `klear/judge/…`; none where no response was a code row's.

    `pass_rate`, `cpu_s` and `verdict/…` (shares of tests) are means over the programs that were judged, so that a math
    row or a response without a program does not enter; `queue_s` and `exec_s` are percentiles over the programs that
    ran. `ie` counts programs that the judge failed on in the end, `retries` the runs it repeated, `untested` the tests
    it did not run. `layers` is the least number of isolation layers of any run.
    """
    code = [info for info in infos if info.get("is_code", 0.0)]
    if not code:
        return {}
    metrics = {name: sum(info[f"judge_{name}"] for info in code) for name in ("ie", "retries", "untested")}
    ran = [info for info in code if info["judge_layers"]]
    if ran:
        metrics["layers"] = min(info["judge_layers"] for info in ran)
    for name in ("queue_s", "exec_s") if ran else ():
        seconds = np.array([info[f"judge_{name}"] for info in ran])
        metrics |= {f"{name}/p{share}": float(np.percentile(seconds, share)) for share in (50, 95)}
        metrics[f"{name}/max"] = float(seconds.max())
    judged = [info for info in ran if not info["judge_ie"]]
    if judged:
        metrics["pass_rate"] = sum(info["pass_rate"] for info in judged) / len(judged)
        metrics["cpu_s"] = sum(info["judge_cpu_s"] for info in judged) / len(judged)
    for key in VERDICT_KEYS if judged else ():
        metrics[key.replace("_", "/")] = sum(info[key] for info in judged) / len(judged)
    return {f"klear/judge/{name}": float(value) for name, value in metrics.items()}


def impute_ungraded(scores: torch.Tensor, uids: Sequence[str], ungraded: torch.Tensor) -> torch.Tensor:
    """Gives each ungraded response the mean score of the graded ones of its group, so that the group's mean stays what
    the graded ones make it and the response's own group-relative advantage is 0 up to rounding (the trainer then sets
    it to exactly 0).

    A group without a graded response gets 0 throughout: no signal. The response still counts in the group's standard
    deviation, and its tokens in the token mean's denominator.

    Args:
        scores: token-level scores, (batch_size, response_length); the score of a response is their sum.
        uids: the group of each response, (batch_size,).
        ungraded: bool, (batch_size,).

    Returns:
        Scores with the rows of ungraded responses replaced: the imputed value on the first token, 0 elsewhere.
    """
    result = scores.clone()
    totals = scores.sum(dim=-1)
    for group in dict.fromkeys(uids):
        members = torch.tensor([uid == group for uid in uids])
        graded = members & ~ungraded
        # In float64 the mean of equal scores is that score, so that a group without signal keeps none.
        mean = totals[graded].double().mean() if graded.any() else torch.zeros(())
        for row in torch.nonzero(members & ungraded).flatten().tolist():
            result[row] = 0.0
            result[row, 0] = mean
    return result
