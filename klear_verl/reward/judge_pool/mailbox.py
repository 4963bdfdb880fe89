# SPDX-License-Identifier: Apache-2.0
"""Where an actor keeps the answers for one client until a call fetches them."""

from __future__ import annotations

import asyncio

from klear_verl.reward.judge_pool.messages import Answer, Parcel


class Desk:
    """The finished runs of one client, and how many of its runs are in hand. Used from one event loop only."""

    def __init__(self) -> None:
        self.in_hand = 0
        self._answers: list[Answer] = []
        self._calls = 0
        self._enough = 1
        self._changed = asyncio.Event()

    def put(self, answer: Answer) -> None:
        """Files an answer."""
        self._answers.append(answer)
        if len(self._answers) == 1 or len(self._answers) >= self._enough or not self.in_hand:
            self._changed.set()

    async def fetch(self, parcel: Parcel) -> tuple[Answer, ...]:
        """The answers so far, as soon as there are enough, or some and nothing more to come within `linger_s`. A later
        call of the client ends the wait of an earlier one."""
        self._calls += 1
        call = self._calls
        self._enough = parcel.enough
        self._changed.set()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + parcel.patience_s
        lingering = False
        while call == self._calls and self.in_hand and len(self._answers) < parcel.enough:
            if self._answers and not lingering:
                deadline, lingering = loop.time() + parcel.linger_s, True
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
