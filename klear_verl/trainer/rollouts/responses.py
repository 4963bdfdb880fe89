# SPDX-License-Identifier: Apache-2.0
"""One generated response as the trainer sees it, and whether it may train."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from klear_verl.errors import DataError
from klear_verl.trainer.config import POSITIVE_LM, Criterion, OverlongConfig

Masked = Literal["overlong", "ungraded", "empty"]


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
