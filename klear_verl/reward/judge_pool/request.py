# SPDX-License-Identifier: Apache-2.0
"""One solution from the moment that somebody asks for its judgement until it is answered."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from klear_verl.judge.verdict import Judgement
from klear_verl.reward.judge_pool.problem_cache import PackedProblem


@dataclass(eq=False)
class Request:
    """A solution to judge. `tried` names the actors that had a run of it, `losses` says what became of the runs that
    told nothing about it, and `timer` ends the patience with the current run."""

    packed: PackedProblem
    source: str
    answer: Future[Judgement]
    submitted: float = field(default_factory=time.monotonic)
    tried: set[str] = field(default_factory=set)
    losses: list[str] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        # From here on it can't be cancelled, so that whoever has the answer need not ask whether it is still wanted.
        self.answer.set_running_or_notify_cancel()
