# SPDX-License-Identifier: Apache-2.0
"""The responses to a step's prompts: which may train, which groups have signal (method: zero-std groups are dropped,
arXiv 2508.07629, Figure 5), and what is logged about all of them, trained on or not.

    Response  one of the n responses to a prompt, with its reward
    Group     the responses to one prompt

`buffer` reads them from verl's queue, `step` selects, `packing` makes mini-batches of those that train.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal

import numpy as np

from klear_verl.errors import DataError
from klear_verl.reward.score import VERDICT_KEYS
from klear_verl.trainer.config import POSITIVE_LM, Criterion, GroupsConfig, OverlongConfig

COUNTS = ("ungraded", "malformed")
SHARES = ("overlong",)
MEANS = ("acc", "pass_rate", "task_score")
Masked = Literal["overlong", "ungraded", "empty"]
GroupState = Literal["signal", "no_signal", "too_few_live"]
Fate = Literal["trained", "no_signal", "too_few_live", "surplus"]
"""What becomes of a group; "surplus": it might have trained, but the batch was full."""


@dataclass(frozen=True)
class Response:
    """The outcome of one session (one of the n responses to a prompt).

    `keys` are its rows in the replay buffer: one, or several where an agent loop ends a session with several outputs,
    of which the last one counts. `position` is the place of its prompt among those of the step, in the order in which
    the data set gave them. `reward` is the reward after penalties, `info` the reward manager's extra fields.
    """

    keys: tuple[str, ...]
    uid: str
    position: int
    session: int
    prompt_tokens: int
    response_tokens: int
    reward: float
    info: Mapping[str, float] = field(default_factory=dict)
    data_source: str = ""
    empty: bool = False

    def masked(self, overlong: OverlongConfig) -> Masked | None:
        """Why the response must not train; None where it may.

        Raises:
            DataError: overlong responses are to be masked, and the reward manager did not report which are.
        """
        if self.info.get("ungraded"):
            return "ungraded"
        if self.empty:
            return "empty"
        mode = "klear.overlong.mode"
        masked = overlong.mode == "mask" and self._reported("overlong", f"{mode}=mask", f"{mode}=keep")
        return "overlong" if masked else None

    def criterion(self, name: Criterion) -> float:
        """The value whose differences within a group are the signal.

        Raises:
            DataError: the reward manager did not report it.
        """
        if name == "reward":
            return self.reward
        return self._reported(name, f"klear.groups.criterion={name}", "klear.groups.criterion=reward")

    @property
    def positive(self) -> bool:
        """Whether the answer is entirely correct (for programs: every test passes)."""
        return self.info.get("acc", 0.0) >= 1.0

    def require_acc(self) -> None:
        """For the loss on correct rollouts.

        Raises:
            DataError: the reward manager did not report which are correct.
        """
        self._reported("acc", f"{POSITIVE_LM} above 0", f"{POSITIVE_LM}=0")

    def _reported(self, name: str, wanted_by: str, without: str) -> float:
        """A value that the reward manager must have reported; a missing one would switch off in silence what needs
        it."""
        if name not in self.info:
            raise DataError(
                f"response {self.keys[-1]} (data_source '{self.data_source}') carries no '{name}', which {wanted_by} "
                "needs",
                f"use the reward manager 'klear', or {without}",
            )
        return float(self.info[name])


def overlong_penalty(response_tokens: int, limit: int, overlong: OverlongConfig) -> float:
    """DAPO's soft overlong punishment (arXiv 2503.14476, Eq. 13), to be added to the reward: 0 up to `buffer_tokens`
    before the limit, then falling linearly to `-penalty` at the limit.

    Args:
        response_tokens: length of the response.
        limit: `data.max_response_length`, in tokens.
        overlong: mode and size; any mode but "penalty" gives 0.
    """
    if overlong.mode != "penalty":
        return 0.0
    beyond = response_tokens - (limit - overlong.buffer_tokens)
    return -overlong.penalty * min(1.0, max(0, beyond) / overlong.buffer_tokens)


def checked_reward(reward: float, key: str, data_source: str) -> float:
    """The reward, if it is a finite number.

    Raises:
        DataError: it is not: a group with one such reward would have no advantages at all.
    """
    if not math.isfinite(reward):
        raise DataError(
            f"the reward of response {key} (data_source '{data_source}') is {reward}",
            "mend the reward manager: rewards must be finite numbers",
        )
    return reward


def reward_info(extra_fields: Any) -> Mapping[str, float]:
    """`reward_extra_info` of a row's extra fields; empty where the reward manager gives none."""
    fields = getattr(extra_fields, "data", extra_fields)
    return fields.get("reward_extra_info", {}) if isinstance(fields, dict) else {}


@dataclass(frozen=True)
class Group:
    """The responses to one prompt, by session; `live` are those that may train."""

    responses: tuple[Response, ...]
    live: tuple[Response, ...]
    state: GroupState

    @property
    def position(self) -> int:
        """The prompt's place in the step."""
        return self.responses[0].position

    @property
    def uid(self) -> str:
        """The prompt's identity in the replay buffer."""
        return self.responses[0].uid


def make_group(
    responses: Sequence[Response], groups: GroupsConfig, overlong: OverlongConfig, least_live: int = 2
) -> Group:
    """Classifies the responses to one prompt. A group has signal if its live responses, at least two, differ in the
    criterion; all else would have an advantage of 0, or, alone, no group to be relative to.

    Args:
        responses: of one prompt, in any order.
        groups, overlong: what counts as a difference, and what is masked.
        least_live: as `compatibility.least_live`; with 1, nothing is relative to a group.
    """
    ordered = tuple(sorted(responses, key=lambda response: response.session))
    live = tuple(response for response in ordered if response.masked(overlong) is None)
    if len(live) < least_live:
        return Group(ordered, live, "too_few_live")
    values = {response.criterion(groups.criterion) for response in live}
    return Group(ordered, live, "signal" if len(values) > 1 else "no_signal")


def trains(group: Group, groups: GroupsConfig) -> bool:
    """Whether the group may be in the batch."""
    return group.state == "signal" or (group.state == "no_signal" and groups.mode == "keep")


def select(groups: Iterable[Group], config: GroupsConfig, batch_size: int) -> dict[Fate, list[Group]]:
    """The first `batch_size` groups that may train, in the order of their prompts, so that neither how long a response
    took nor which worker generated it decides; and the others by why they do not train, in the same order."""
    selected: dict[Fate, list[Group]] = {"trained": [], "no_signal": [], "too_few_live": [], "surplus": []}
    for group in sorted(groups, key=lambda group: group.position):
        if trains(group, config):
            fate: Fate = "trained" if len(selected["trained"]) < batch_size else "surplus"
        else:
            fate = "no_signal" if group.state == "no_signal" else "too_few_live"
        selected[fate].append(group)
    return selected


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


def group_metrics(selected: Mapping[Fate, Sequence[Group]], overlong: OverlongConfig) -> dict[str, float]:
    """`klear/groups/…` (counts of groups; `wasted_share` is the share of generated responses that do not train) and
    `klear/masked/…` (responses by reason; `tokens` are the response tokens of all of them)."""
    groups = [group for found in selected.values() for group in found]
    counts = {"generated": len(groups)} | {str(fate): len(found) for fate, found in selected.items()}
    responses = [response for group in groups for response in group.responses]
    training = sum(len(group.live) for group in selected["trained"])
    metrics = {f"klear/groups/{name}": float(count) for name, count in counts.items()}
    metrics["klear/groups/wasted_share"] = 1.0 - training / max(1, len(responses))
    why = [(response, response.masked(overlong)) for response in responses]
    for reason in ("overlong", "ungraded", "empty"):
        metrics[f"klear/masked/{reason}"] = float(sum(masked == reason for _, masked in why))
    metrics["klear/masked/tokens"] = float(sum(response.response_tokens for response, masked in why if masked))
    return metrics


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
