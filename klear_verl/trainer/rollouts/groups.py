# SPDX-License-Identifier: Apache-2.0
"""Which groups of a step train (method: zero-advantage groups are dropped, arXiv 2508.07629, Figure 5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from klear_verl.trainer.config import GroupsConfig, OverlongConfig
from klear_verl.trainer.rollouts.responses import Response

GroupState = Literal["signal", "no_signal", "too_few_live"]


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


@dataclass(frozen=True)
class Selection:
    """What a step trains on, and what became of the rest. All groups are in the order of their prompts."""

    trained: list[Group] = field(default_factory=list)
    no_signal: list[Group] = field(default_factory=list)
    too_few_live: list[Group] = field(default_factory=list)
    surplus: list[Group] = field(default_factory=list)

    @property
    def groups(self) -> list[Group]:
        """Every group generated."""
        return [*self.trained, *self.no_signal, *self.too_few_live, *self.surplus]


def make_group(
    responses: Sequence[Response], groups: GroupsConfig, overlong: OverlongConfig, least_live: int = 2
) -> Group:
    """Classifies the responses to one prompt. A group has signal if its live responses, at least two, differ in the
    criterion; all else would have an advantage of 0, or, alone, no group to be relative to.

    Args:
        responses: of one prompt, in any order.
        groups, overlong: what counts as a difference, and what is masked.
        least_live: as `estimators.least_live`; with 1, nothing is relative to a group.
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


def select(made: Iterable[Group], groups: GroupsConfig, batch_size: int) -> Selection:
    """The first `batch_size` groups that may train, in the order of their prompts, so that neither how long a response
    took nor which worker made it decides; the others by why they do not train."""
    selection = Selection()
    for group in sorted(made, key=lambda group: group.position):
        if not trains(group, groups):
            (selection.no_signal if group.state == "no_signal" else selection.too_few_live).append(group)
        elif len(selection.trained) < batch_size:
            selection.trained.append(group)
        else:
            selection.surplus.append(group)
    return selection


def group_metrics(selection: Selection, overlong: OverlongConfig) -> dict[str, float]:
    """`klear/groups/…` (counts of groups; `wasted_share` is the share of generated responses that do not train) and
    `klear/masked/…` (responses by reason; `tokens` are the response tokens of all of them)."""
    counts = {
        "generated": len(selection.groups),
        "trained": len(selection.trained),
        "no_signal": len(selection.no_signal),
        "too_few_live": len(selection.too_few_live),
        "surplus": len(selection.surplus),
    }
    responses = [response for group in selection.groups for response in group.responses]
    training = sum(len(group.live) for group in selection.trained)
    metrics = {f"klear/groups/{name}": float(count) for name, count in counts.items()}
    metrics["klear/groups/wasted_share"] = 1.0 - training / max(1, len(responses))
    why = [(response, response.masked(overlong)) for response in responses]
    for reason in ("overlong", "ungraded", "empty"):
        metrics[f"klear/masked/{reason}"] = float(sum(masked == reason for _, masked in why))
    metrics["klear/masked/tokens"] = float(sum(response.response_tokens for response, masked in why if masked))
    return metrics
