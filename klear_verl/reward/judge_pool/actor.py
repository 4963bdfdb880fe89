# SPDX-License-Identifier: Apache-2.0
"""What runs on a node: an asynchronous Ray actor around one `Judge`. It knows no other actor.

It takes whatever it is sent: the clients bound what they send (`worker.py`). What it unpickles was packed by a client
of the same job; the solutions that it is given are text.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket

from klear_verl.errors import KlearError
from klear_verl.judge import Judge, JudgeConfig, Problem
from klear_verl.reward.judge_pool.config import Placement
from klear_verl.reward.judge_pool.messages import Batch, Hello, ProblemCache, Reply, Run, RunAnswer

logger = logging.getLogger(__name__)


class JudgeActor:
    """Judges solutions of one job's clients, `slots` at once, first come first served."""

    def __init__(self, config: JudgeConfig, placement: Placement, problem_cache_mib: float):
        # Ray may be told of more CPUs than there are; slots beyond the cores would only slow each other down.
        share = placement.slots / placement.node_slots
        slots = max(1, min(placement.slots, int(len(os.sched_getaffinity(0)) * share)))
        self._config = config.model_copy(update={"slots": slots})
        self._problems = ProblemCache(problem_cache_mib)
        self._mailboxes: dict[str, Mailbox] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[Judge] | None = None

    async def hello(self) -> Hello:
        """Starts the judge, once, and introduces the actor.

        Raises:
            EnvironmentProblem: a required isolation layer is missing on this node.
        """
        judge = await self._judge()
        return Hello(self._config.slots, judge.layers)

    async def exchange(self, batch: Batch) -> Reply:
        """Takes new runs, and gives back finished ones of the same client."""
        judge = await self._judge()
        mailbox = self._mailboxes.setdefault(batch.client, Mailbox())
        for key, blob in batch.problems.items():
            self._problems.put(key, blob)
        for run in batch.runs:
            problem = self._problems.get(run.key)
            if problem is None:
                mailbox.put(RunAnswer(run.number))
            else:
                mailbox.unfinished += 1
                task = asyncio.create_task(self._run(judge, mailbox, problem, run))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        answers = await mailbox.fetch(batch)
        return Reply(answers, sum(one.unfinished for one in self._mailboxes.values()))

    async def _run(self, judge: Judge, mailbox: Mailbox, problem: Problem, run: Run) -> None:
        try:
            answer = RunAnswer(run.number, await judge.arun(problem, run.source))
        except KlearError as error:
            answer = RunAnswer(run.number, error=error)
        except Exception as error:  # of any kind: the client has the run repeated, and the log says why
            logger.exception("judging failed")
            answer = RunAnswer(run.number, error=RuntimeError(f"in a judge actor: {error!r}"))
        mailbox.unfinished -= 1
        mailbox.put(answer)

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


class Mailbox:
    """Where an actor keeps the answers for one client until a call fetches them, and how many runs of that client are
    unfinished. Used from one event loop only."""

    def __init__(self) -> None:
        self.unfinished = 0
        self._answers: list[RunAnswer] = []
        self._calls = 0
        self._enough = 1
        self._changed = asyncio.Event()

    def put(self, answer: RunAnswer) -> None:
        """Keeps an answer."""
        self._answers.append(answer)
        if len(self._answers) == 1 or len(self._answers) >= self._enough or not self.unfinished:
            self._changed.set()

    async def fetch(self, batch: Batch) -> tuple[RunAnswer, ...]:
        """The answers so far: as soon as there are enough or no run is unfinished, or `linger_s` after the first; after
        `patience_s` even if there are none. A later call of the client ends the wait of an earlier one, which then gets
        nothing."""
        self._calls += 1
        call = self._calls
        self._enough = batch.enough
        self._changed.set()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + batch.patience_s
        lingering = False
        while call == self._calls and self.unfinished and len(self._answers) < batch.enough:
            if self._answers and not lingering:
                deadline, lingering = loop.time() + batch.linger_s, True
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                break
        if call != self._calls:
            return ()
        answers, self._answers = tuple(self._answers), []
        return answers
