# SPDX-License-Identifier: Apache-2.0
"""`Judge`: runs a solution against a problem's tests and says how many it passes.

`Judge.run` is the way from a problem to its judgement, step by step. It isolates nothing (`sandbox/`) and decides no
single verdict (`grading.py`).
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType

from klear_verl.errors import EnvironmentProblem
from klear_verl.judge import tiers
from klear_verl.judge.config import JudgeConfig
from klear_verl.judge.grading import Tally, grade
from klear_verl.judge.inputs import inputs_of, missing_module
from klear_verl.judge.problem import AssertTest, Problem, PytestTest, Test, draw_subset
from klear_verl.judge.sandbox.layers import Sandbox
from klear_verl.judge.sandbox.monitor import RunLimits
from klear_verl.judge.sandbox.session import DiedCompiling, Outcome, Rejected, RunInput, Session
from klear_verl.judge.sandbox.supervisor import SandboxFailure, Zygote
from klear_verl.judge.verdict import Judgement, Verdict
from klear_verl.utils.seeds import stable_seed

MAX_SOURCE_BYTES = 1 << 20


class Judge:
    """Judges solutions, `config.slots` at once; further callers wait, which counts against nobody's limits.
    Thread-safe.

    Raises:
        EnvironmentProblem: on construction, if a layer of `config.require` does not hold on this machine.
    """

    def __init__(self, config: JudgeConfig | None = None):
        self.config = config or JudgeConfig()
        self._slots = threading.Semaphore(self.config.slots)
        self._threads = ThreadPoolExecutor(self.config.slots, thread_name_prefix="judge")
        self._closing = threading.Lock()
        self._closed = False
        self._sandbox = Sandbox(self.config.sandbox())
        self._tiers = tiers.available(self.config.tiers)
        self.layers = self._sandbox.layers

    @property
    def reasons(self) -> dict[str, str]:
        """Why layers are not active, where the machine gave a reason."""
        return dict(self._sandbox.reasons)

    @property
    def zygotes(self) -> Mapping[str, Zygote]:
        """The zygotes by tier; those not needed yet have no process."""
        return self._sandbox.zygotes

    def run(self, problem: Problem, source: str, *, asked: float | None = None) -> Judgement:
        """Judges one solution. Whatever `source` is, the outcome is a judgement, never an exception.

        Args:
            asked: when the judgement was asked for (`time.monotonic()`), if not now: what has passed since then counts
                as `queue_s`.

        Raises:
            DataError: the problem itself can't be run.
            RuntimeError: the judge is closed.
        """
        asked = time.monotonic() if asked is None else asked
        count = self.config.max_tests if problem.max_tests is None else problem.max_tests
        tests = draw_subset(problem.tests, count, problem.id, self.config.seed)
        tally = Tally(len(tests), self.config)
        with self._slot():
            started = time.monotonic()
            try:
                program = _encoded(source)
                tally.tier = self._tier_of(source, tests)
                with Solution(self.zygotes[tally.tier], problem, program, self.config) as solution:
                    for test in tests:
                        if tally.settled():
                            break
                        self._judge_test(solution, test, tally)
            except Rejected as error:
                tally.reject(str(error))
            wall_s = time.monotonic() - started
        return tally.judgement(self.layers, queue_s=started - asked, wall_s=wall_s)

    def _judge_test(self, solution: Solution, test: Test, tally: Tally) -> None:
        """Runs one test and grades the outcome; again, in a new session, where the failure was ours.

        Raises:
            Rejected: the program does not compile.
        """
        missing = missing_module(test)
        failures = {missing: None} if missing else {}
        given, limits = inputs_of(solution.problem, test), solution.limits_within(tally.budget_left_s)
        for attempt in range(0 if missing else 1 + self.config.ie_retries):
            tally.retries += attempt > 0
            try:
                outcome = solution.run(given, limits)
                tally.add(*grade(test, outcome, limits, solution.problem.comparison), outcome)
                break
            except DiedCompiling as error:
                if attempt == self.config.ie_retries > 0:
                    raise Rejected("the program crashes the compiler") from error
                failures[str(error)] = None
            except (SandboxFailure, EnvironmentProblem, OSError) as error:
                # OSError: no descriptor, no memory, no process to be had. Nothing of it is the solution's doing.
                failures[f"{type(error).__name__}: {error}"] = None
            solution.close()
        else:
            tally.add(Verdict.IE, "; ".join(failures))

    @contextmanager
    def _slot(self) -> Iterator[None]:
        with self._slots:
            if self._closed:
                raise RuntimeError("the judge is closed")
            yield

    def _tier_of(self, source: str, tests: tuple[Test, ...]) -> str:
        # A test may import what its solution doesn't.
        codes = [test.code for test in tests if isinstance(test, (AssertTest, PytestTest))]
        return tiers.choose("\n".join([source, *codes]), self._tiers)

    async def arun(self, problem: Problem, source: str) -> Judgement:
        """`run`, for callers on an event loop."""
        run = functools.partial(self.run, problem, source, asked=time.monotonic())
        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def close(self) -> None:
        """Ends all zygotes, after the solutions they are at. Idempotent."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._threads.shutdown(wait=True, cancel_futures=True)
        for _ in range(self.config.slots):
            self._slots.acquire()
        self._sandbox.close()
        # Callers that still wait get a slot, and find the judge closed.
        self._slots.release(self.config.slots)

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Solution:
    """One solution under judgement: its limits, and its session, which starts with the first run after a `close`."""

    def __init__(self, zygote: Zygote, problem: Problem, program: bytes, config: JudgeConfig):
        self.problem = problem
        self._zygote = zygote
        self._program = program
        self._config = config
        self._limits = config.limits.for_run(problem.time_limit_s)
        self._session: Session | None = None

    def limits_within(self, cpu_s: float) -> RunLimits:
        """The limits of a run that has at most `cpu_s` left."""
        return self._limits if cpu_s >= self._limits.cpu_s else replace(self._limits, cpu_s=cpu_s)

    def run(self, given: RunInput, limits: RunLimits) -> Outcome:
        """Runs one test.

        Raises:
            Rejected: the program does not compile.
            SandboxFailure, EnvironmentProblem: our own failure.
        """
        if self._session is None:
            self._session = Session(
                self._zygote,
                self._program,
                self._limits,
                self._config.budget_cpu_s,
                seed=stable_seed(self.problem.id, self._config.seed),
                entry_point=self.problem.entry_point,
                sequential=self._config.granularity == "solution",
            )
        return self._session.run(given, limits)

    def close(self) -> None:
        """Ends what runs for it."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def __enter__(self) -> Solution:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _encoded(source: str) -> bytes:
    program = source.encode("utf-8", "surrogatepass")
    if len(program) > MAX_SOURCE_BYTES:
        raise Rejected(f"the program is longer than {MAX_SOURCE_BYTES} bytes")
    return program
