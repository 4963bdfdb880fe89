# SPDX-License-Identifier: Apache-2.0
"""The metrics of a step's responses, trained on or not: counts, means over the graded, the same per data source, and
what the judge did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from klear_verl.reward.score import VERDICT_KEYS
from klear_verl.trainer.rollouts.responses import Response

COUNTS = ("ungraded", "malformed")
SHARES = ("overlong",)
MEANS = ("acc", "pass_rate", "task_score")


def reward_metrics(infos: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Metrics of one step from `reward_extra_info` of each response: counts of ungraded and malformed ones, and the
    share cut off by the length limit.

    verl's own `response_length/clip_ratio` compares with the longest response of the batch, not with the limit.
    """
    metrics = {f"klear/{name}": float(sum(bool(info.get(name, 0.0)) for info in infos)) for name in COUNTS}
    metrics |= {f"klear/{name}": sum(info.get(name, 0.0) for info in infos) / max(1, len(infos)) for name in SHARES}
    return metrics


def response_metrics(responses: Sequence[Response]) -> dict[str, float]:
    """`reward_metrics` of all responses; `klear/reward`, the mean reward after penalties over the graded ones, and
    `klear/response_tokens`, the mean length over all; and `klear/source/<data_source>/…` for reward and means.

    verl's own `critic/…` and `response_length/…` cover the responses that train, a chosen few.
    """
    metrics = reward_metrics([response.info for response in responses])
    metrics |= _graded_means(responses, "klear")
    tokens = [response.response_tokens for response in responses]
    metrics["klear/response_tokens"] = sum(tokens) / max(1, len(tokens))
    for source in sorted({response.data_source for response in responses} - {""}):
        metrics |= _graded_means([item for item in responses if item.data_source == source], f"klear/source/{source}")
    return metrics


def _graded_means(responses: Sequence[Response], prefix: str) -> dict[str, float]:
    graded = [response for response in responses if not response.info.get("ungraded", 0.0)]
    values = {"reward": [response.reward for response in graded]}
    values |= {name: [float(item.info[name]) for item in graded if name in item.info] for name in MEANS}
    return {f"{prefix}/{name}": sum(found) / len(found) for name, found in values.items() if found}


def validation_means(
    data_sources: Sequence[str], uids: Sequence[str], scores: Mapping[str, Sequence[Any]]
) -> dict[str, float]:
    """`val-aux/<data_source>/<score>/mean@n` under verl's names: the mean over prompts of the mean over a prompt's n
    responses. Scores that are not numbers are left out.

    Args:
        data_sources, uids: of each response; a prompt's responses share a uid.
        scores: for each score, one value per response; None where a response has none.
    """
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name, values in scores.items():
        for source, uid, value in zip(data_sources, uids, values, strict=True):
            if isinstance(value, Real):
                found[source, name][uid].append(float(value))
    by_count: dict[str, list[float]] = defaultdict(list)
    for (source, name), prompts in found.items():
        for values in prompts.values():
            by_count[f"val-aux/{source}/{name}/mean@{len(values)}"].append(sum(values) / len(values))
    return {name: sum(means) / len(means) for name, means in by_count.items()}


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
