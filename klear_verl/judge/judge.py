# SPDX-License-Identifier: Apache-2.0
"""`Judge`: runs a solution against a problem's tests and says how many it passes.

This file draws the tests, hands each to a zygote, retries our own failures, and adds up. It isolates nothing
(`zygote/`, `layers.py`) and decides no single verdict (`grading.py`).
"""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import json
import queue
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from klear_verl.errors import DataError, EnvironmentProblem
from klear_verl.judge import layers
from klear_verl.judge.config import JudgeConfig, Limits
from klear_verl.judge.grading import grade
from klear_verl.judge.problem import AssertTest, CallTest, Problem, PytestTest, StdioTest, Test
from klear_verl.judge.subset import draw_subset, stable_seed
from klear_verl.judge.supervisor import Zygote, ZygoteDied
from klear_verl.judge.verdict import Judgement, Usage, Verdict
from klear_verl.judge.zygote.program import TOKEN_BYTES

MAX_SOURCE_BYTES = 1 << 20


class Judge:
    """Judges solutions, `config.slots` at once; further callers wait, which counts against nobody's limits.
    Thread-safe.

    Raises:
        EnvironmentProblem: on construction, if a layer of `config.require` does not hold on this machine.
    """

    def __init__(self, config: JudgeConfig | None = None):
        self.config = config or JudgeConfig()
        setup = layers.zygote_setup()
        # Last in, first out: a zygote that has not been needed yet has not been started either.
        self._free: queue.LifoQueue[Zygote] = queue.LifoQueue()
        for _ in range(self.config.slots):
            self._free.put(Zygote(setup))
        self._threads = ThreadPoolExecutor(self.config.slots, thread_name_prefix="judge")
        self._closed = False
        self._closing = threading.Lock()
        zygote = self._free.get()
        try:
            self.layers = layers.probe(zygote)
            layers.require(self.layers, self.config.require)
        except EnvironmentProblem:
            self._free.put(zygote)
            self.close()
            raise
        self._free.put(zygote)

    def run(self, problem: Problem, source: str) -> Judgement:
        """Judges one solution. Whatever `source` is, the outcome is a judgement, never an exception.

        Raises:
            DataError: the problem itself can't be run.
            RuntimeError: the judge is closed.
        """
        count = self.config.max_tests if problem.max_tests is None else problem.max_tests
        tests = draw_subset(problem.tests, count, problem.id, self.config.seed)
        if len(source.encode("utf-8", "surrogatepass")) > MAX_SOURCE_BYTES:
            return self._judgement(
                [Verdict.CE] * len(tests), Usage(), f"the program is longer than {MAX_SOURCE_BYTES} bytes"
            )
        zygote = self._free.get()
        try:
            if self._closed:
                raise RuntimeError("the judge is closed")
            return self._run_tests(zygote, problem, tests, source)
        finally:
            self._free.put(zygote)

    async def arun(self, problem: Problem, source: str) -> Judgement:
        """`run`, for callers on an event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.run, problem, source)

    def _run_tests(self, zygote: Zygote, problem: Problem, tests: tuple[Test, ...], source: str) -> Judgement:
        limits = _limits(self.config.limits, problem)
        verdicts: list[Verdict] = []
        first_failure = ""
        cpu_s = peak_mib = 0.0
        started = time.monotonic()
        for index, test in enumerate(tests):
            verdict, detail, used = self._run_test(zygote, problem, test, source, limits, index)
            cpu_s, peak_mib = cpu_s + used.cpu_s, max(peak_mib, used.peak_memory_mib)
            verdicts.append(verdict)
            if verdict is not Verdict.AC and (not first_failure or verdict is Verdict.IE):
                first_failure = f"test {index}: {verdict.value}: {detail}"
            untested = len(tests) - len(verdicts)
            if verdict in (Verdict.CE, Verdict.IE):
                # A program that doesn't compile fails every test; after IE the rest would say nothing.
                verdicts += [verdict] * untested
                break
            if untested and 0 < self.config.stop_after_timeouts == verdicts.count(Verdict.TLE):
                verdicts += [Verdict.TLE] * untested
                first_failure += f" ({untested} tests not run after {self.config.stop_after_timeouts} time-outs)"
                break
        return self._judgement(verdicts, Usage(cpu_s, time.monotonic() - started, peak_mib), first_failure)

    def _run_test(
        self, zygote: Zygote, problem: Problem, test: Test, source: str, limits: Limits, index: int
    ) -> tuple[Verdict, str, Usage]:
        missing = _missing_module(test)
        if missing:
            return Verdict.IE, missing, Usage()
        payload, stdin, token, code = _pack(problem, test, source)
        seed = stable_seed(problem.id, self.config.seed, index)
        verdict, detail, usage = Verdict.IE, "", Usage()
        for _ in range(1 + self.config.ie_retries):
            try:
                outcome = zygote.run(test.kind, payload, stdin, token + code, limits, seed)
            except (ZygoteDied, EnvironmentProblem) as error:
                verdict, detail, usage = Verdict.IE, str(error), Usage()
                continue
            verdict, detail = grade(test, outcome, limits, problem.comparison, token)
            usage = Usage(outcome.cpu_s, outcome.wall_s, outcome.peak_mib)
            if verdict is not Verdict.IE:
                break
        return verdict, detail, usage

    def _judgement(self, verdicts: list[Verdict], usage: Usage, detail: str) -> Judgement:
        if Verdict.IE in verdicts:
            return Judgement(tuple(verdicts), None, None, self.layers, usage, detail)
        passed = verdicts.count(Verdict.AC)
        return Judgement(tuple(verdicts), passed / len(verdicts), passed == len(verdicts), self.layers, usage, detail)

    def close(self) -> None:
        """Ends all zygotes, after the solutions they are at. Idempotent."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._threads.shutdown(wait=True, cancel_futures=True)
            zygotes = [self._free.get() for _ in range(self.config.slots)]
            for zygote in zygotes:
                zygote.close()
                # Callers that still wait get it, and find the judge closed.
                self._free.put(zygote)

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _limits(limits: Limits, problem: Problem) -> Limits:
    """The problem's own CPU limit, with the wall limit in proportion."""
    if problem.time_limit_s is None:
        return limits
    wall_s = problem.time_limit_s * limits.wall_s / limits.cpu_s
    return limits.model_copy(update={"cpu_s": problem.time_limit_s, "wall_s": wall_s})


def _pack(problem: Problem, test: Test, source: str) -> tuple[bytes, bytes, bytes, bytes]:
    """Payload, standard input, token and test code of one run. Expected outputs are in none of them."""
    content: dict[str, object] = {"source": source}
    stdin, token, code = b"", b"", b""
    if isinstance(test, StdioTest):
        stdin = test.input.encode("utf-8", "surrogatepass")
    elif isinstance(test, CallTest):
        if problem.entry_point is None:
            raise DataError(
                f"problem {problem.id}: a call test needs an entry_point", "add fn_name to the ground truth"
            )
        content |= {"entry_point": problem.entry_point, "args": test.args}
    else:
        token, code = secrets.token_bytes(TOKEN_BYTES), test.code.encode("utf-8", "surrogatepass")
    try:
        return json.dumps(content).encode("ascii"), stdin, token, code
    except TypeError as error:
        raise DataError(
            f"problem {problem.id}: arguments that are not JSON values: {error}", "correct the row"
        ) from error


def _missing_module(test: Test) -> str:
    """Why this test can't run here: it needs pytest. A missing package of ours must not count against a solution."""
    if not isinstance(test, (AssertTest, PytestTest)) or "pytest" not in test.code:
        return ""
    if importlib.util.find_spec("pytest") is not None:
        return ""
    try:
        nodes = list(ast.walk(ast.parse(test.code)))
    except SyntaxError:
        return ""
    wanted = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    wanted |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return "the test imports pytest, which is not installed (pip install pytest)" if "pytest" in wanted else ""
