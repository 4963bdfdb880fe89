# SPDX-License-Identifier: Apache-2.0
"""`Judge`: runs a solution against a problem's tests and says how many it passes.

This file draws the tests, runs one after the other, keeps to the solution's budget, retries our own failures, and adds
up. It isolates nothing (`zygote/`, `layers.py`), watches no limit of a test (`session.py`) and decides no single
verdict (`grading.py`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from klear_verl.errors import EnvironmentProblem
from klear_verl.judge.config import JudgeConfig, Limits
from klear_verl.judge.grading import grade
from klear_verl.judge.inputs import Inputs, inputs_of, missing_module
from klear_verl.judge.problem import AssertTest, Problem, PytestTest, Test
from klear_verl.judge.sandbox import layers, tiers
from klear_verl.judge.sandbox.session import DiedCompiling, Outcome, Rejected, Session
from klear_verl.judge.sandbox.supervisor import Zygote, ZygoteDied
from klear_verl.judge.subset import draw_subset, stable_seed
from klear_verl.judge.verdict import Judgement, Usage, Verdict

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
        self._tiers = tiers.available(self.config.tiers)
        self._isolation = layers.Isolation(self.config)
        try:
            self._zygotes = {tiers.STD: self._isolation.zygote(())}
            self._zygotes |= {name: self._isolation.zygote(modules) for name, modules in self._tiers.items()}
            self.layers = self._isolation.probe(self._zygotes[tiers.STD])
            layers.require(self.layers, self.config.require, self._isolation.reasons)
        except EnvironmentProblem:
            self.close()
            raise

    @property
    def reasons(self) -> dict[str, str]:
        """Why layers are not active, where the machine gave a reason."""
        return dict(self._isolation.reasons)

    @property
    def zygotes(self) -> Mapping[str, Zygote]:
        """The zygotes by tier; those not needed yet have no process."""
        return self._zygotes

    def run(self, problem: Problem, source: str) -> Judgement:
        """Judges one solution. Whatever `source` is, the outcome is a judgement, never an exception.

        Raises:
            DataError: the problem itself can't be run.
            RuntimeError: the judge is closed.
        """
        return self._run(problem, source, time.monotonic())

    def _run(self, problem: Problem, source: str, asked: float) -> Judgement:
        count = self.config.max_tests if problem.max_tests is None else problem.max_tests
        tests = draw_subset(problem.tests, count, problem.id, self.config.seed)
        program = source.encode("utf-8", "surrogatepass")
        if len(program) > MAX_SOURCE_BYTES:
            rejected = _Run(self, problem, tests, program, tiers.STD)
            rejected.reject(f"the program is longer than {MAX_SOURCE_BYTES} bytes")
            return rejected.judgement(0.0, 0.0)
        with self._slots:
            if self._closed:
                raise RuntimeError("the judge is closed")
            started = time.monotonic()
            run = _Run(self, problem, tests, program, self._tier_of(source, tests))
            run.run()
            return run.judgement(started - asked, time.monotonic() - started)

    def _tier_of(self, source: str, tests: tuple[Test, ...]) -> str:
        # A test may import what its solution doesn't.
        codes = [test.code for test in tests if isinstance(test, (AssertTest, PytestTest))]
        return tiers.choose("\n".join([source, *codes]), self._tiers)

    async def arun(self, problem: Problem, source: str) -> Judgement:
        """`run`, for callers on an event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._run, problem, source, time.monotonic())

    def close(self) -> None:
        """Ends all zygotes, after the solutions they are at. Idempotent."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._threads.shutdown(wait=True, cancel_futures=True)
        for _ in range(self.config.slots):
            self._slots.acquire()
        self._isolation.close()
        # Callers that still wait get a slot, and find the judge closed.
        self._slots.release(self.config.slots)

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Run:
    """The judging of one solution."""

    def __init__(self, judge: Judge, problem: Problem, tests: tuple[Test, ...], program: bytes, tier: str):
        self._judge = judge
        self._config = judge.config
        self._problem = problem
        self._tests = tests
        self._program = program
        self._tier = tier
        self._limits = _limits(judge.config.limits, problem)
        self._session: Session | None = None
        self._verdicts: list[Verdict] = []
        self._detail = ""
        self._cpu_s = 0.0
        self._peak_mib = 0.0
        self._untested = 0
        self._retries = 0

    def run(self) -> None:
        """Judges test after test until all have a verdict."""
        try:
            for index, test in enumerate(self._tests):
                if self._stops():
                    return
                self._add(index, *self._run_test(test))
        except Rejected as error:
            self.reject(str(error))
        finally:
            self._end_session()

    def reject(self, why: str) -> None:
        """The program doesn't compile: it fails every test."""
        self._verdicts = [Verdict.CE] * len(self._tests)
        self._detail = f"test 0: CE: {why}"

    def judgement(self, queue_s: float, wall_s: float) -> Judgement:
        """What was found."""
        verdicts = tuple(self._verdicts)
        graded = Verdict.IE not in verdicts
        passed = verdicts.count(Verdict.AC)
        return Judgement(
            verdicts,
            passed / len(verdicts) if graded else None,
            passed == len(verdicts) if graded else None,
            self._judge.layers,
            Usage(self._cpu_s, wall_s, self._peak_mib, queue_s),
            self._detail,
            self._untested,
            self._tier,
            self._retries,
        )

    def _add(self, index: int, verdict: Verdict, detail: str) -> None:
        self._verdicts.append(verdict)
        if verdict is not Verdict.AC and (not self._detail or verdict is Verdict.IE):
            self._detail = f"test {index}: {verdict.value}: {detail}"

    def _stops(self) -> bool:
        """Whether the rest is not run any more; if so, gives it its verdicts."""
        left = len(self._tests) - len(self._verdicts)
        limit = self._config.stop_after_timeouts
        if self._verdicts and self._verdicts[-1] is Verdict.IE:
            # The rest would say nothing: there will be no pass rate.
            self._verdicts += [Verdict.IE] * left
            return True
        if 0 < limit <= self._verdicts.count(Verdict.TLE):
            why = f"after {limit} time-outs"
        elif self._cpu_s >= self._config.budget_cpu_s:
            why = f"after {self._cpu_s:.1f} s of CPU, the solution's budget"
        else:
            return False
        self._detail = f"{self._detail or 'all passed so far'} ({left} tests not run {why})"
        self._verdicts += [Verdict.TLE] * left
        self._untested = left
        return True

    def _run_test(self, test: Test) -> tuple[Verdict, str]:
        missing = missing_module(test)
        if missing:
            return Verdict.IE, missing
        inputs = inputs_of(self._problem, test)
        left_s = self._config.budget_cpu_s - self._cpu_s
        limits = self._limits
        if left_s < limits.cpu_s:
            limits = limits.model_copy(update={"cpu_s": left_s})
        failures: dict[str, None] = {}
        for attempt in range(1 + self._config.ie_retries):
            self._retries += attempt > 0
            try:
                outcome = self._outcome(inputs, limits)
            except DiedCompiling as error:
                if attempt == self._config.ie_retries > 0:
                    raise Rejected("the program crashes the compiler") from error
                failures[str(error)] = None
            except (ZygoteDied, EnvironmentProblem, OSError) as error:
                # OSError: no descriptor, no memory, no process to be had. Nothing of it is the solution's doing.
                failures[f"{type(error).__name__}: {error}"] = None
            else:
                verdict, detail = grade(test, outcome, limits, self._problem.comparison)
                if verdict is not Verdict.IE:
                    self._cpu_s += outcome.cpu_s
                    self._peak_mib = max(self._peak_mib, outcome.peak_mib)
                    return verdict, detail
                failures[detail] = None
            self._end_session()
        return Verdict.IE, "; ".join(failures)

    def _outcome(self, inputs: Inputs, limits: Limits) -> Outcome:
        if self._session is None:
            zygote = self._judge.zygotes[self._tier]
            self._session = Session(
                zygote,
                self._program,
                self._limits,
                self._config.budget_cpu_s,
                stable_seed(self._problem.id, self._config.seed),
                self._problem.entry_point,
            )
        if inputs.test is not None:
            return self._session.run_asserts(inputs.test, limits)
        if self._config.granularity == "solution":
            return self._session.run_in_turn(inputs.stdin, inputs.arguments, limits)
        if inputs.arguments is not None:
            return self._session.run_call(inputs.arguments, limits)
        return self._session.run_script(inputs.stdin, limits)

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def _limits(limits: Limits, problem: Problem) -> Limits:
    """The problem's own CPU limit, with the wall limit in proportion."""
    if problem.time_limit_s is None:
        return limits
    wall_s = problem.time_limit_s * limits.wall_s / limits.cpu_s
    return limits.model_copy(update={"cpu_s": problem.time_limit_s, "wall_s": wall_s})
