# SPDX-License-Identifier: Apache-2.0
"""The scorer: one response in, its score out, by the task of its data_source.

Training (`manager.py`), `klear score` and evaluation all score through this class, so that they agree. It imports
neither verl nor torch, and Ray only to judge on a cluster. Math graders and the judge are started when the first row
needs them.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from klear_verl.errors import DataError, EnvironmentProblem
from klear_verl.reward.config import RewardConfig
from klear_verl.reward.math.scorer import MathScorer
from klear_verl.reward.references import code_reference, math_reference
from klear_verl.reward.score import Score, ScoreRequest

if TYPE_CHECKING:
    from klear_verl.reward.code_scorer import CodeScorer

_QUEUED_PER_JOB = 4


class Scorer:
    """Scores responses; thread-safe, and usable from one event loop. Close it, or use it as a context manager."""

    def __init__(self, config: RewardConfig, in_cluster: bool = False):
        """`in_cluster`: whether this is a worker of a Ray cluster, for `judge_pool.mode=auto`."""
        self.config = config
        self._in_cluster = in_cluster
        self._lock = threading.Lock()
        self._math: MathScorer | None = None
        self._code: CodeScorer | None = None
        self._no_judge: EnvironmentProblem | None = None
        self._threads = ThreadPoolExecutor(config.math.workers, thread_name_prefix="klear-math")

    def score(self, request: ScoreRequest) -> Score:
        """Scores one response.

        Raises:
            DataError: an unknown data_source, or a ground truth that cannot be read; names the row.
            EnvironmentProblem: the graders or the judge cannot work on this machine.
        """
        if self._is_math(request):
            return self._math_scorer().score(request)
        return self._code_scorer().score(request)

    async def score_async(self, request: ScoreRequest) -> Score:
        """As `score`, without holding the event loop."""
        loop = asyncio.get_running_loop()
        if self._is_math(request):
            return await loop.run_in_executor(self._threads, self._math_scorer().score, request)
        scorer = self._code
        if scorer is None:  # starting the judge takes a while
            scorer = await loop.run_in_executor(self._threads, self._code_scorer)
        return await scorer.score_async(request)

    def score_many(self, requests: Iterable[ScoreRequest], jobs: int = 1) -> Iterator[Score]:
        """Scores with `jobs` threads and yields in the order of the requests, which are read only a few per job ahead.

        Raises:
            As `score`, at the place of the request in question.
        """
        waiting: deque[Future[Score]] = deque()
        with ThreadPoolExecutor(jobs, thread_name_prefix="klear-score") as threads:
            try:
                for request in requests:
                    waiting.append(threads.submit(self.score, request))
                    if len(waiting) > _QUEUED_PER_JOB * jobs:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def check(self, request: ScoreRequest) -> None:
        """Checks that a row can be scored, without scoring: its data_source and the form of its ground truth.

        `ReferenceCheck` also finds references that have the right form and no reading.

        Raises:
            DataError: as `score` would.
        """
        if self._is_math(request):
            math_reference(request.ground_truth, request.place)
        else:
            code_reference(request.ground_truth, request.extra_info, request.place)

    def close(self) -> None:
        """Ends every process that the scorer started."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for part in (self._math, self._code):
                if part is not None:
                    part.close()

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _is_math(self, request: ScoreRequest) -> bool:
        try:
            return self.config.task_of(request.data_source) == "math"
        except DataError as error:
            raise DataError(f"{request.place}: {error.what}", error.remedy) from error

    def _math_scorer(self) -> MathScorer:
        with self._lock:
            if self._math is None:
                self._math = MathScorer(self.config)
            return self._math

    def _code_scorer(self) -> CodeScorer:
        # Imported late: a math run needs nothing of the judge.
        from klear_verl.reward.code_scorer import CodeScorer

        with self._lock:
            if self._no_judge is not None:  # a judge that can't start says so after a while: once is enough
                raise self._no_judge
            try:
                self._code = self._code or CodeScorer(self.config, self._in_cluster)
            except EnvironmentProblem as problem:
                self._no_judge = problem
                raise
            return self._code
