# SPDX-License-Identifier: Apache-2.0
"""One judge actor as one client sees it: the client's solutions there and on their way, and how busy the actor is.

Back-pressure is here: a client has at most `window` solutions at an actor, and keeps the others. An actor therefore
never holds more than (clients x window), and need not refuse any.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import ray
from cachetools import LRUCache
from ray.exceptions import RayError

from klear_verl.judge import Judgement
from klear_verl.reward.judge_pool.config import JudgePoolConfig, Placement
from klear_verl.reward.judge_pool.messages import Batch, Hello, PackedProblem, Reply, Run, RunAnswer

_KEYS_REMEMBERED = 4096
_GATHER_S = 0.005
"""How long new runs wait for others to join their call, where another call to the actor is under way."""


@dataclass(eq=False)
class Submission:
    """A solution from the moment that a caller asks for its judgement until it is answered.

    `tried` names the actors that had a run of it; `failures` says why each run that ended without a judgement did;
    `timer` fires when the current run has taken too long.
    """

    packed: PackedProblem
    source: str
    answer: Future[Judgement]
    submitted_at: float = field(default_factory=time.monotonic)
    tried: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        # From here on it can't be cancelled, so that the answer can be set without asking.
        self.answer.set_running_or_notify_cancel()


class JudgeWorker:
    """A judge actor that is ready. Used from one event loop only.

    Args:
        on_answer: called for each run that ends, with its submission (None where the run was given up) and its answer.
        on_broken: called with the reason when the actor no longer answers; perhaps more than once.
    """

    def __init__(
        self,
        name: str,
        placement: Placement,
        actor: Any,
        hello: Hello,
        client: str,
        pool: JudgePoolConfig,
        on_answer: Callable[[Submission | None, RunAnswer], None],
        on_broken: Callable[[JudgeWorker, str], None],
    ):
        self.name = name
        self.placement = placement
        self.actor = actor
        self.slots = hello.slots
        self.layers = hello.layers
        self.window = max(1, round(hello.slots * (1 + pool.queue_per_slot)))
        self.runs: dict[int, Submission | None] = {}
        """The runs sent there, by number; None for a run that was given up."""
        self._client = client
        self._pool = pool
        self._on_answer = on_answer
        self._on_broken = on_broken
        self._load_of_others = 0
        self._outgoing: list[Run] = []
        self._outgoing_problems: dict[str, bytes] = {}
        self._shipped: LRUCache[str, bool] = LRUCache(_KEYS_REMEMBERED)
        self._calls: set[asyncio.Task[None]] = set()
        self._next_call: asyncio.Handle | None = None

    @property
    def has_room(self) -> bool:
        """Whether this client may send one more solution."""
        return len(self.runs) < self.window

    @property
    def load_per_slot(self) -> float:
        """Unfinished solutions per slot: ours, and those of other clients as of the last reply."""
        return (len(self.runs) + self._load_of_others) / self.slots

    def send(self, number: int, submission: Submission) -> None:
        """Sends a solution with the next call."""
        self.runs[number] = submission
        self._pack(Run(number, submission.packed.key, submission.source), submission.packed)
        self._call_soon()

    def probe(self) -> None:
        """Makes a call, where none is under way, so that a dead actor is noticed."""
        if not self._calls:
            self._call_soon()

    def _call_soon(self) -> None:
        loop = asyncio.get_running_loop()
        if self._next_call is None:
            self._next_call = loop.call_later(_GATHER_S, self._call) if self._calls else loop.call_soon(self._call)

    def _call(self) -> None:
        self._next_call = None
        batch = Batch(
            client=self._client,
            runs=tuple(self._outgoing),
            problems=self._outgoing_problems,
            linger_s=self._pool.linger_s,
            enough=max(1, (self.window - self.slots) // 2),
            patience_s=self._pool.refresh_s,
        )
        self._outgoing, self._outgoing_problems = [], {}
        call = asyncio.get_running_loop().create_task(self._exchange(batch))
        self._calls.add(call)

    def close(self) -> None:
        """Ends all calls and drops the actor's handle: the actor ends if this process created it. `runs` stays."""
        for call in self._calls:
            call.cancel()
        if self._next_call is not None:
            self._next_call.cancel()
        self.actor = None

    async def _exchange(self, batch: Batch) -> None:
        try:
            async with asyncio.timeout(batch.patience_s + self._pool.unresponsive_s):
                reply: Reply = await self.actor.exchange.remote(batch)
        except TimeoutError:
            # Alive, it would keep its name and its CPUs. Other clients lose it too, and run again what they had there.
            await asyncio.to_thread(ray.kill, self.actor)
            self._on_broken(self, f"no answer for {batch.patience_s + self._pool.unresponsive_s:.0f} s")
        except RayError as error:
            self._on_broken(self, str(error).partition("\n")[0])
        else:
            self._calls.discard(asyncio.current_task())
            self._take(reply)
            if self._outgoing or (self.runs and not self._calls):
                self._call_soon()

    def _take(self, reply: Reply) -> None:
        # The load may not count what we have sent since: then the others' part is too small, until the next reply.
        self._load_of_others = max(0, reply.load - len(self.runs) + len(reply.answers))
        for answer in reply.answers:
            # Runs from before this actor was dropped and found again may still be answered: they are not in `runs`.
            submission = self.runs.get(answer.number)
            if answer.judgement is None and answer.error is None and submission is not None:
                self._shipped.pop(submission.packed.key, None)
                self._pack(Run(answer.number, submission.packed.key, submission.source), submission.packed)
            else:
                self.runs.pop(answer.number, None)
                self._on_answer(submission, answer)

    def _pack(self, run: Run, packed: PackedProblem) -> None:
        self._outgoing.append(run)
        if not self._shipped.get(packed.key):
            self._shipped[packed.key] = True
            self._outgoing_problems[packed.key] = packed.blob


def choose(workers: Sequence[JudgeWorker], avoid: Collection[str] = ()) -> JudgeWorker | None:
    """The worker for the next solution: the less loaded of two random ones that have room, None if all are full. Those
    named in `avoid` only if no other has room.

    Two random ones, not the least loaded of all: what a client knows of the others' load is always a little old, and
    all clients would choose the same actor.
    """
    free = [worker for worker in workers if worker.has_room]
    candidates = [worker for worker in free if worker.name not in avoid] or free
    if not candidates:
        return None
    return min(random.sample(candidates, min(2, len(candidates))), key=lambda worker: worker.load_per_slot)
