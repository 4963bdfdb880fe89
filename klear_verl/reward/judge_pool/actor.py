# SPDX-License-Identifier: Apache-2.0
"""What runs on a node: an asynchronous Ray actor around one `Judge`. It knows no other actor.

It takes whatever it is sent: the clients bound what they send (`seat.py`). What it unpickles was packed by a client of
the same job; the solutions it is given are text.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket

from klear_verl.errors import KlearError
from klear_verl.judge.config import JudgeConfig
from klear_verl.judge.judge import Judge
from klear_verl.judge.problem import Problem
from klear_verl.reward.judge_pool.mailbox import Desk
from klear_verl.reward.judge_pool.messages import Answer, Answers, Hello, Parcel, Run
from klear_verl.reward.judge_pool.placement import Placement
from klear_verl.reward.judge_pool.problem_cache import ProblemShelf

logger = logging.getLogger(__name__)


class JudgeActor:
    """Judges solutions of one job's clients, `slots` at once, first come first served."""

    def __init__(self, config: JudgeConfig, placement: Placement, problem_cache_mib: float):
        # Ray may be told of more CPUs than there are; slots beyond the cores would only slow each other down.
        share = placement.slots / placement.node_slots
        slots = max(1, min(placement.slots, int(len(os.sched_getaffinity(0)) * share)))
        self._config = config.model_copy(update={"slots": slots})
        self._problems = ProblemShelf(problem_cache_mib)
        self._desks: dict[str, Desk] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[Judge] | None = None

    async def hello(self) -> Hello:
        """Starts the judge, once, and introduces the actor.

        Raises:
            EnvironmentProblem: a required isolation layer is missing on this node.
        """
        judge = await self._judge()
        return Hello(self._config.slots, judge.layers)

    async def exchange(self, parcel: Parcel) -> Answers:
        """Takes in new runs, and gives back finished ones of the same client."""
        judge = await self._judge()
        desk = self._desks.setdefault(parcel.client, Desk())
        for key, blob in parcel.tests.items():
            self._problems.put(key, blob)
        for run in parcel.runs:
            problem = self._problems.get(run.key)
            if problem is None:
                desk.put(Answer(run.number))
            else:
                desk.in_hand += 1
                task = asyncio.create_task(self._run(judge, desk, problem, run))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        answers = await desk.fetch(parcel)
        return Answers(answers, sum(one.in_hand for one in self._desks.values()))

    async def _run(self, judge: Judge, desk: Desk, problem: Problem, run: Run) -> None:
        try:
            answer = Answer(run.number, await judge.arun(problem, run.source))
        except KlearError as error:
            answer = Answer(run.number, error=error)
        except Exception as error:  # nobody foresaw it: the client has the run repeated, and the log says why
            logger.exception("judging failed")
            answer = Answer(run.number, error=RuntimeError(f"in a judge actor: {error!r}"))
        desk.in_hand -= 1
        desk.put(answer)

    async def _judge(self) -> Judge:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> Judge:
        judge = await asyncio.to_thread(Judge, self._config)
        # Once per actor; Ray carries it to the driver's log.
        print(
            f"klear judge on {socket.gethostname()}: {self._config.slots} slots, layers {', '.join(judge.layers)}",
            flush=True,
        )
        return judge
