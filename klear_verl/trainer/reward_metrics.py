# SPDX-License-Identifier: Apache-2.0
"""What the trainer does with the reward manager's extra fields: the step's counts, and the handling of responses that
could not be graded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

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
