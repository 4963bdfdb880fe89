# SPDX-License-Identifier: Apache-2.0
"""`RayJudge`: what `Judge` is to one process, over a Ray cluster.

One solution is one unit of work: it goes to one actor, which runs all its tests. A run that is lost (with its actor or
node, or because its answer doesn't come in time) is repeated elsewhere, at most `retries` times per solution; then the
judgement is IE, which the reward path treats as ungraded. Each run has a number, so that the answer of a run that was
given up can't be taken for another's: it is counted and ignored.

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
from klear_verl.judge import JudgeConfig, Judgement, Problem, Usage, Verdict
from klear_verl.reward.judge_pool.config import JudgePoolConfig
from klear_verl.reward.judge_pool.messages import ProblemPacker, RunAnswer
from klear_verl.reward.judge_pool.pool import JudgePool
from klear_verl.reward.judge_pool.worker import JudgeWorker, Submission, choose


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
        self._settings = pool or JudgePoolConfig()
        _join_cluster()
        self._packer = ProblemPacker(self.config, self._settings.problem_cache_mib)
        self._packing = threading.Lock()
        self._waiting: deque[Submission] = deque()
        self._numbers = itertools.count()
        self._opened = asyncio.Event()
        self._pool = JudgePool(self.config, self._settings, self._on_change, self._on_answer, self._on_lost)
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
        workers = list(self._pool.workers.values())
        first = workers[0].layers if workers else ()
        return tuple(layer for layer in first if all(layer in worker.layers for worker in workers))

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
        """Drops the actors: those that this process created end. Idempotent."""
        if self._closed:
            return
        self._closed = True
        asyncio.run_coroutine_threadsafe(self._close_pool(), self._loop).result()
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
            submission = Submission(self._packer.pack(problem), source, Future())
        if self._closed:
            raise RuntimeError("the judge is closed")
        self._loop.call_soon_threadsafe(self._enqueue, submission)
        return submission.answer

    async def _open(self) -> None:
        self._maintaining = asyncio.create_task(self._pool.maintain())
        self._maintaining.add_done_callback(self._on_pool_end)
        try:
            async with asyncio.timeout(self._settings.start_timeout_s):
                await self._opened.wait()
        except TimeoutError:
            raise self._pool.why_empty() from None
        if self._maintaining.done():
            await self._maintaining
        if not self._pool.workers:
            raise self._pool.why_empty()

    async def _close_pool(self) -> None:
        self._maintaining.cancel()
        await asyncio.wait([self._maintaining])
        self._fail_all(RuntimeError("the judge is closed"))
        for worker in self._pool.workers.values():
            worker.close()
        self._pool.workers.clear()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    def _on_pool_end(self, maintaining: asyncio.Task[None]) -> None:
        """`close` cancels it; any error that ends it is passed on to all callers that wait."""
        self._opened.set()
        if not maintaining.cancelled() and (error := maintaining.exception()):
            self._fail_all(error)

    def _fail_all(self, error: BaseException) -> None:
        """Answers all submissions with an error."""
        submissions = list(self._waiting)
        self._waiting.clear()
        for worker in self._pool.workers.values():
            submissions += filter(None, worker.runs.values())
            worker.runs = dict.fromkeys(worker.runs)
        for submission in submissions:
            self._stop_timer(submission)
            submission.answer.set_exception(error)

    def _on_change(self) -> None:
        if self._pool.workers or self._pool.all_failed:
            self._opened.set()
        empty_since = self._pool.empty_since
        if empty_since is not None and time.monotonic() - empty_since > self._settings.start_timeout_s:
            while self._waiting:
                self._give_up(self._waiting.popleft(), self._pool.why_empty().what)
        self._dispatch()

    def _enqueue(self, submission: Submission) -> None:
        if self._maintaining.done():
            error = None if self._maintaining.cancelled() else self._maintaining.exception()
            submission.answer.set_exception(error or RuntimeError("the judge is closed"))
            return
        self._waiting.append(submission)
        self._dispatch()

    def _dispatch(self) -> None:
        """Sends what waits, first come first served, as far as there is room."""
        while self._waiting:
            worker = choose(list(self._pool.workers.values()), avoid=self._waiting[0].tried)
            if worker is None:
                return
            submission, number = self._waiting.popleft(), next(self._numbers)
            patience_s = self._settings.attempt_timeout_s
            submission.timer = asyncio.get_running_loop().call_later(patience_s, self._on_timeout, worker, number)
            submission.tried.add(worker.name)
            worker.send(number, submission)

    def _on_answer(self, submission: Submission | None, answer: RunAnswer) -> None:
        """A run has ended."""
        if submission is None:
            self.counts.late += answer.judgement is not None
        elif isinstance(answer.error, KlearError):
            self._stop_timer(submission)
            submission.answer.set_exception(answer.error)
        elif answer.error is not None:
            self._stop_timer(submission)
            self._repeat(submission, str(answer.error))
        elif answer.judgement is not None:
            self._stop_timer(submission)
            if answer.judgement.pass_rate is None and self._pool.workers.keys() - submission.tried:
                self._repeat(submission, answer.judgement.detail)
            else:
                self._finish(submission, answer.judgement, repeats=len(submission.failures))
        self._dispatch()

    def _on_lost(self, worker: JudgeWorker, reason: str) -> None:
        """An actor is lost, and the runs sent there with it."""
        for submission in worker.runs.values():
            if submission is not None:
                self._stop_timer(submission)
                self._repeat(submission, reason)
        self._dispatch()

    def _on_timeout(self, worker: JudgeWorker, number: int) -> None:
        """A run has taken too long. It counts towards the load until it ends: it may still use its slot."""
        submission, worker.runs[number] = worker.runs[number], None
        assert submission is not None
        self._repeat(submission, f"no answer for {self._settings.attempt_timeout_s:.0f} s")
        self._dispatch()

    def _repeat(self, submission: Submission, reason: str) -> None:
        submission.failures.append(reason)
        if len(submission.failures) > self._settings.retries:
            self._give_up(submission, f"not judged in {len(submission.failures)} runs, the last: {reason}")
        else:
            self._waiting.appendleft(submission)

    def _give_up(self, submission: Submission, reason: str) -> None:
        judgement = Judgement((Verdict.IE,) * submission.packed.tests, None, None, (), Usage(), reason)
        self._finish(submission, judgement, repeats=max(0, len(submission.failures) - 1))

    def _finish(self, submission: Submission, judgement: Judgement, repeats: int) -> None:
        self.counts.judged += 1
        self.counts.repeated += repeats
        self.counts.ungraded += judgement.pass_rate is None
        queue_s = max(0.0, time.monotonic() - submission.submitted_at - judgement.usage.wall_s)
        usage = replace(judgement.usage, queue_s=queue_s)
        submission.answer.set_result(replace(judgement, usage=usage, retries=judgement.retries + repeats))

    def _stop_timer(self, submission: Submission) -> None:
        if submission.timer is not None:
            submission.timer.cancel()


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
