# SPDX-License-Identifier: Apache-2.0
"""What scores the rows of `klear score`: threads of this process, or for many jobs processes of their own.

Most of a row's time is spent in the judge's processes. The rest is spent here: about a tenth where each test has a
process of its own, a quarter where a solution's tests share one. Python's threads share one processor, so that from a
handful of jobs on this rest would be the limit.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType

from klear_verl.errors import EnvironmentProblem
from klear_verl.reward.config import RewardConfig
from klear_verl.reward.score import Score, ScoreRequest
from klear_verl.reward.scorer import Scorer

MAX_THREADS = 4


class ScoreWorkers:
    """Scores rows, `jobs` at once. A context manager: leaving it ends what was started."""

    def __init__(self, config: RewardConfig, jobs: int):
        # A judge on a cluster does its work elsewhere.
        self._threaded = jobs <= MAX_THREADS or config.judge_pool.mode == "ray"
        self._scorer = Scorer(config.with_jobs(jobs if self._threaded else 1))
        self._executor: Executor = (
            ThreadPoolExecutor(jobs, thread_name_prefix="klear-score")
            if self._threaded
            else ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start_worker, (config.with_jobs(1),))
        )

    def submit(self, request: ScoreRequest) -> Future[Score]:
        """Scores a row when its turn comes. Read the result with `result`."""
        return self._executor.submit(self._scorer.score if self._threaded else _score, request)

    def result(self, future: Future[Score]) -> Score:
        """Waits for a row.

        Raises:
            DataError: the row can't be scored.
            EnvironmentProblem: nothing can be scored on this machine.
        """
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise EnvironmentProblem(
                "a scoring process was killed, perhaps for want of memory", "the same command resumes; lower --jobs"
            ) from error

    def check(self, request: ScoreRequest) -> None:
        """As `Scorer.check`."""
        self._scorer.check(request)

    def __enter__(self) -> ScoreWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(cancel_futures=True)
        self._scorer.close()


_worker: list[Scorer] = []
"""The scorer of a worker process."""


def _start_worker(config: RewardConfig) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    scorer = Scorer(config)
    _worker.append(scorer)
    multiprocessing.util.Finalize(None, scorer.close, exitpriority=1)


def _end_with_parent() -> None:
    # A worker waits for work on a pipe whose other end the other workers hold too, so that it would outlive a parent
    # that is killed.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _score(request: ScoreRequest) -> Score:
    return _worker[0].score(request)
