# SPDX-License-Identifier: Apache-2.0
"""One judge actor as one client sees it: what is there, what is on its way there, and how busy the actor is.

Back-pressure is here: a client has at most `window` solutions at an actor, and keeps the others. An actor therefore
never holds more than (clients x window), without ever having to refuse one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError

from klear_verl.reward.judge_pool.config import JudgePoolConfig
from klear_verl.reward.judge_pool.messages import Answer, Answers, Hello, Parcel, Run
from klear_verl.reward.judge_pool.placement import Placement
from klear_verl.reward.judge_pool.problem_cache import Lru, PackedProblem
from klear_verl.reward.judge_pool.request import Request

_KEYS_REMEMBERED = 4096
_GATHER_S = 0.005
"""How long new runs wait for others to travel with, where a call to the actor is under way already."""


class Seat:
    """A judge actor that has said hello. Used from one event loop only.

    Args:
        settled: told of each run that is answered: its request, if anybody still waits for it, and the answer.
        broken: told that the actor doesn't answer any more, and why; perhaps more than once.
    """

    def __init__(
        self,
        name: str,
        placement: Placement,
        actor: Any,
        hello: Hello,
        client: str,
        pool: JudgePoolConfig,
        settled: Callable[[Request | None, Answer], None],
        broken: Callable[[Seat, str], None],
    ):
        self.name = name
        self.placement = placement
        self.actor = actor
        self.slots = hello.slots
        self.layers = hello.layers
        self.window = max(1, round(hello.slots * (1 + pool.queue_per_slot)))
        self.runs: dict[int, Request | None] = {}
        """What is there: requests by the number of their run; None for a run that nobody waits for any more."""
        self._client = client
        self._pool = pool
        self._settled = settled
        self._broken = broken
        self._of_others = 0
        self._outgoing: list[Run] = []
        self._tests: dict[str, bytes] = {}
        self._shipped: Lru[bool] = Lru(_KEYS_REMEMBERED, weight=lambda _: 1)
        self._calls: set[asyncio.Task[None]] = set()
        self._next_call: asyncio.Handle | None = None

    @property
    def has_room(self) -> bool:
        """Whether this client may send one more solution."""
        return len(self.runs) < self.window

    @property
    def load_per_slot(self) -> float:
        """Solutions in hand per slot: ours, and those of other clients when the actor last said."""
        return (len(self.runs) + self._of_others) / self.slots

    def send(self, number: int, request: Request) -> None:
        """Sends a solution, soon."""
        self.runs[number] = request
        self._pack(Run(number, request.packed.key, request.source), request.packed)
        self._call_soon()

    def look(self) -> None:
        """Asks for a sign of life, where no call is under way that will give one."""
        if not self._calls:
            self._call_soon()

    def _call_soon(self) -> None:
        loop = asyncio.get_running_loop()
        if self._next_call is None:
            self._next_call = loop.call_later(_GATHER_S, self._call) if self._calls else loop.call_soon(self._call)

    def _call(self) -> None:
        self._next_call = None
        parcel = Parcel(
            client=self._client,
            runs=tuple(self._outgoing),
            tests=self._tests,
            linger_s=self._pool.linger_s,
            enough=max(1, (self.window - self.slots) // 2),
            patience_s=self._pool.refresh_s,
        )
        self._outgoing, self._tests = [], {}
        call = asyncio.get_running_loop().create_task(self._exchange(parcel))
        self._calls.add(call)

    def close(self) -> None:
        """Ends all calls, and lets go of the actor, which ends if this process created it. What was sent stays in
        `runs`."""
        for call in self._calls:
            call.cancel()
        if self._next_call is not None:
            self._next_call.cancel()
        self.actor = None

    async def _exchange(self, parcel: Parcel) -> None:
        try:
            async with asyncio.timeout(parcel.patience_s + self._pool.unresponsive_s):
                reply: Answers = await self.actor.exchange.remote(parcel)
        except TimeoutError:
            # It may hold its name and its CPUs for ever. Other clients lose it too, and re-run what they had there.
            await asyncio.to_thread(ray.kill, self.actor)
            self._broken(self, f"no answer for {parcel.patience_s + self._pool.unresponsive_s:.0f} s")
        except RayError as error:
            self._broken(self, str(error).partition("\n")[0])
        else:
            self._calls.discard(asyncio.current_task())
            self._take(reply)
            if self._outgoing or (self.runs and not self._calls):
                self._call_soon()

    def _take(self, reply: Answers) -> None:
        # What we have sent since may not be in the load: then the others' part is underrated, until the next reply.
        self._of_others = max(0, reply.load - len(self.runs) + len(reply.answers))
        for answer in reply.answers:
            # An actor that was given up but is alive may still answer runs of that time.
            request = self.runs.get(answer.number)
            if answer.judgement is None and answer.error is None and request is not None:
                self._shipped.discard(request.packed.key)
                self._pack(Run(answer.number, request.packed.key, request.source), request.packed)
            else:
                self.runs.pop(answer.number, None)
                self._settled(request, answer)

    def _pack(self, run: Run, packed: PackedProblem) -> None:
        self._outgoing.append(run)
        if not self._shipped.get(packed.key):
            self._shipped.put(packed.key, True)
            self._tests[packed.key] = packed.blob
