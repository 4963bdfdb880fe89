# SPDX-License-Identifier: Apache-2.0
"""`RayJudge`: what `Judge` is to one process, over a Ray cluster.

One solution is one unit of work: it goes to one actor, which runs all its tests. What is lost (an actor, its node, an
answer that doesn't come in time) is run again elsewhere, once per loss and at most `retries` times; then the judgement
is IE, which the reward path treats as ungraded. Each run has a number, so that the answer of a run that was given up
can't be taken for another's: it is counted and ignored.

All but the packing of problems happens on one event loop in a thread of its own: any thread or loop may call, and
nothing else needs a lock.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, replace
from types import TracebackType

import ray

from klear_verl.errors import EnvironmentProblem, KlearError
from klear_verl.judge.config import JudgeConfig
from klear_verl.judge.problem import Problem
from klear_verl.judge.verdict import Judgement, Usage, Verdict
from klear_verl.reward.judge_pool.config import JudgePoolConfig
from klear_verl.reward.judge_pool.dispatch import choose
from klear_verl.reward.judge_pool.messages import Answer
from klear_verl.reward.judge_pool.pool import Roster
from klear_verl.reward.judge_pool.problem_cache import ProblemPacker
from klear_verl.reward.judge_pool.request import Request
from klear_verl.reward.judge_pool.worker import Seat


@dataclass
class PoolCounts:
    """What became of the solutions of one client. `judged` counts each solution once, and `ungraded` those of them with
    no pass rate; `repeated` counts runs beyond the first, and `late` answers of runs that were given up."""

    judged: int = 0
    repeated: int = 0
    late: int = 0
    ungraded: int = 0


class RayJudge:
    """Judges solutions on every node; callers wait while all actors have what this client may send them. Thread-safe.

    Raises:
        EnvironmentProblem: on construction, if no Ray cluster can be joined, or no node of it can run a judge.
    """

    def __init__(self, config: JudgeConfig | None = None, pool: JudgePoolConfig | None = None):
        self.config = config or JudgeConfig()
        self.counts = PoolCounts()
        self._pool = pool or JudgePoolConfig()
        _join_cluster()
        self._packer = ProblemPacker(self.config, self._pool.problem_cache_mib)
        self._packing = threading.Lock()
        self._waiting: deque[Request] = deque()
        self._numbers = itertools.count()
        self._opened = asyncio.Event()
        self._roster = Roster(self.config, self._pool, self._roster_changed, self._settle, self._lose)
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ray-judge", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        except BaseException:
            self.close()
            raise

    @property
    def layers(self) -> tuple[str, ...]:
        """The isolation layers that every actor has."""
        seats = list(self._roster.seats.values())
        return tuple(layer for layer in seats[0].layers if all(layer in s.layers for s in seats)) if seats else ()

    def run(self, problem: Problem, source: str) -> Judgement:
        """Judges one solution; as `Judge.run`. The judgement's `usage.queue_s` is all the time that it did not run.

        Raises:
            DataError: the problem itself can't be run.
            RuntimeError: the judge is closed.
        """
        return self._submit(problem, source).result()

    async def arun(self, problem: Problem, source: str) -> Judgement:
        """`run`, for callers on an event loop."""
        return await asyncio.wrap_future(self._submit(problem, source))

    def close(self) -> None:
        """Forgets the actors: those that this process created end. Idempotent."""
        if self._closed:
            return
        self._closed = True
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> RayJudge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _submit(self, problem: Problem, source: str) -> Future[Judgement]:
        with self._packing:
            request = Request(self._packer.pack(problem), source, Future())
        if self._closed:
            raise RuntimeError("the judge is closed")
        self._loop.call_soon_threadsafe(self._enter, request)
        return request.answer

    async def _open(self) -> None:
        self._keeping = asyncio.create_task(self._roster.keep())
        self._keeping.add_done_callback(self._keeper_ended)
        try:
            async with asyncio.timeout(self._pool.start_timeout_s):
                await self._opened.wait()
        except TimeoutError:
            raise self._roster.complaint() from None
        if self._keeping.done():
            await self._keeping
        if not self._roster.seats:
            raise self._roster.complaint()

    async def _shut(self) -> None:
        self._keeping.cancel()
        await asyncio.wait([self._keeping])
        self._fail_all(RuntimeError("the judge is closed"))
        for seat in self._roster.seats.values():
            seat.close()
        self._roster.seats.clear()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    def _keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        """Ended by `close`, or by an error that nobody foresaw: then everybody who waits has to know."""
        self._opened.set()
        if not keeper.cancelled() and (error := keeper.exception()):
            self._fail_all(error)

    def _fail_all(self, error: BaseException) -> None:
        """Ends all requests with an error."""
        requests = list(self._waiting)
        self._waiting.clear()
        for seat in self._roster.seats.values():
            requests += filter(None, seat.runs.values())
            seat.runs = dict.fromkeys(seat.runs)
        for request in requests:
            self._end_run(request)
            request.answer.set_exception(error)

    def _roster_changed(self) -> None:
        if self._roster.seats or self._roster.hopeless:
            self._opened.set()
        empty_since = self._roster.empty_since
        if empty_since is not None and time.monotonic() - empty_since > self._pool.start_timeout_s:
            while self._waiting:
                self._give_up(self._waiting.popleft(), self._roster.complaint().what)
        self._fill_seats()

    def _enter(self, request: Request) -> None:
        if self._keeping.done():
            error = None if self._keeping.cancelled() else self._keeping.exception()
            request.answer.set_exception(error or RuntimeError("the judge is closed"))
            return
        self._waiting.append(request)
        self._fill_seats()

    def _fill_seats(self) -> None:
        """Sends off those who wait, first come first served, as far as there is room."""
        while self._waiting:
            seat = choose(list(self._roster.seats.values()), avoid=self._waiting[0].tried)
            if seat is None:
                return
            request, number = self._waiting.popleft(), next(self._numbers)
            patience_s = self._pool.attempt_timeout_s
            request.timer = asyncio.get_running_loop().call_later(patience_s, self._overdue, seat, number)
            request.tried.add(seat.name)
            seat.send(number, request)

    def _settle(self, request: Request | None, answer: Answer) -> None:
        """A run has ended."""
        if request is None:
            self.counts.late += answer.judgement is not None
        elif isinstance(answer.error, KlearError):
            self._end_run(request)
            request.answer.set_exception(answer.error)
        elif answer.error is not None:
            self._end_run(request)
            self._repeat(request, str(answer.error))
        elif answer.judgement is not None:
            self._end_run(request)
            if answer.judgement.pass_rate is None and self._roster.seats.keys() - request.tried:
                self._repeat(request, answer.judgement.detail)
            else:
                self._finish(request, answer.judgement, repeats=len(request.losses))
        self._fill_seats()

    def _lose(self, seat: Seat, reason: str) -> None:
        """An actor is lost, with all that is there."""
        for request in seat.runs.values():
            if request is not None:
                self._end_run(request)
                self._repeat(request, reason)
        self._fill_seats()

    def _overdue(self, seat: Seat, number: int) -> None:
        """A run has taken too long. It keeps its place until it ends: it may still use its slot."""
        request, seat.runs[number] = seat.runs[number], None
        assert request is not None
        self._repeat(request, f"no answer for {self._pool.attempt_timeout_s:.0f} s")
        self._fill_seats()

    def _repeat(self, request: Request, reason: str) -> None:
        request.losses.append(reason)
        if len(request.losses) > self._pool.retries:
            self._give_up(request, f"not judged in {len(request.losses)} runs, the last: {reason}")
        else:
            self._waiting.appendleft(request)

    def _give_up(self, request: Request, reason: str) -> None:
        judgement = Judgement((Verdict.IE,) * request.packed.tests, None, None, (), Usage(), reason)
        self._finish(request, judgement, repeats=max(0, len(request.losses) - 1))

    def _finish(self, request: Request, judgement: Judgement, repeats: int) -> None:
        self.counts.judged += 1
        self.counts.repeated += repeats
        self.counts.ungraded += judgement.pass_rate is None
        queue_s = max(0.0, time.monotonic() - request.submitted - judgement.usage.wall_s)
        usage = replace(judgement.usage, queue_s=queue_s)
        request.answer.set_result(replace(judgement, usage=usage, retries=judgement.retries + repeats))

    def _end_run(self, request: Request) -> None:
        if request.timer is not None:
            request.timer.cancel()


def _join_cluster() -> None:
    if ray.is_initialized():
        return
    try:
        ray.init(address="auto", log_to_driver=False, configure_logging=False)
    except ConnectionError as error:
        raise EnvironmentProblem(
            f"judge_pool.mode=ray, but there is no Ray cluster to join: {error}",
            "start one (`ray start --head`), name it in RAY_ADDRESS, or use judge_pool.mode=local",
        ) from error
