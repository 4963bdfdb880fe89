# SPDX-License-Identifier: Apache-2.0
"""From what the kernel says about one run, and what the run left behind, to its verdict; and from the verdicts to the
judgement. Nothing runs here.
"""

from __future__ import annotations

import os
import signal

from klear_verl.judge.checkers import outputs_match, values_match
from klear_verl.judge.config import JudgeConfig
from klear_verl.judge.problem import CallTest, Comparison, StdioTest, Test
from klear_verl.judge.sandbox.monitor import MAX_THREADS, RunLimits
from klear_verl.judge.sandbox.session import Outcome
from klear_verl.judge.sandbox.supervisor import SandboxFailure
from klear_verl.judge.sandbox.zygote import program, tester, values
from klear_verl.judge.tiers import STD
from klear_verl.judge.verdict import Judgement, Usage, Verdict

_NEAR_MEMORY_LIMIT = 0.8


def grade(test: Test, outcome: Outcome, limits: RunLimits, comparison: Comparison) -> tuple[Verdict, str]:
    """The verdict of one run, and one line that says why ("" for AC). The first that holds decides.

    Raises:
        SandboxFailure: the process of the test was killed, which says nothing about the solution.
    """
    reported, report = outcome.report[:1], outcome.report[1:]
    too_slow = outcome.ending in ("cpu", "wall") or outcome.cpu_s > limits.cpu_s
    if outcome.ending == "threads":
        graded = Verdict.RE, f"more than {MAX_THREADS} threads"
    elif too_slow or _signal(outcome.status) == signal.SIGXCPU:
        limit = "wall-clock" if outcome.ending == "wall" else "CPU"
        graded = Verdict.TLE, f"{limit} limit: {outcome.cpu_s:.2f} s CPU, {outcome.wall_s:.2f} s wall"
    elif len(outcome.stdout) >= limits.stdout_bytes:
        graded = Verdict.OLE, f"more than {limits.stdout_mib:g} MiB of output"
    elif reported == tester.PASSED and outcome.tester_status == 0:
        graded = Verdict.AC, ""
    elif reported == tester.FAILED:
        graded = Verdict.WA, f"a test failed: {_one_line(report)}"
    elif outcome.status != 0:
        graded = _crash(outcome, limits)
    elif isinstance(test, StdioTest):
        graded = _compare_output(outcome.stdout.decode("utf-8", "surrogateescape"), test, comparison)
    elif isinstance(test, CallTest):
        graded = _compare_value(outcome.value, test)
    elif reported == tester.RAISED:
        graded = Verdict.RE, _one_line(report)
    elif _signal(outcome.tester_status) == signal.SIGKILL:
        raise SandboxFailure("the process of the test was killed, not by us")
    else:
        graded = Verdict.RE, f"the test ended without a report (wait status {outcome.tester_status})"
    return graded


def _crash(outcome: Outcome, limits: RunLimits) -> tuple[Verdict, str]:
    last = outcome.stderr.decode("utf-8", "replace").rstrip().rpartition("\n")[2]
    killed_by = _signal(outcome.status)
    if last.startswith("MemoryError") or (killed_by and outcome.peak_mib > _NEAR_MEMORY_LIMIT * limits.memory_mib):
        verdict = Verdict.MLE
        detail = f"{outcome.peak_mib:.0f} MiB resident; the limit is {limits.memory_mib} MiB of address space"
    else:
        status = os.waitstatus_to_exitcode(outcome.status)
        verdict, how = Verdict.RE, f"killed by signal {killed_by}" if killed_by else f"exit status {status}"
        detail = f"{how}: {last}"[:300]
    return verdict, detail


def _compare_output(actual: str, test: StdioTest, comparison: Comparison) -> tuple[Verdict, str]:
    graded = Verdict.AC, ""
    if not outputs_match(actual, test.output, comparison):
        graded = Verdict.WA, f"got {_short(actual)}, expected {_short(test.output)}"
    return graded


def _compare_value(left: bytes, test: CallTest) -> tuple[Verdict, str]:
    """Compares what a call left in its file."""
    graded = Verdict.RE, "left before the call returned"
    if left[:1] == program.RETURNED:
        try:
            actual = values.decode(left[1:])
        except ValueError as error:
            graded = Verdict.WA, f"the result can't be read: {error}"[:300]
        else:
            graded = Verdict.AC, ""
            if not any(values_match(actual, expected) for expected in (test.expected, *test.alternatives)):
                graded = Verdict.WA, f"got {_short(actual)}, expected {_short(test.expected)}"
    return graded


def _signal(status: int) -> int:
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _short(value: object) -> str:
    try:
        text = ascii(value[:40] if isinstance(value, (str, list)) else value)
    except (ValueError, RecursionError):
        text = "a huge value"  # an int of more than 4300 digits has no decimal text
    return text if len(text) <= 80 else f"{text[:77]}..."


def _one_line(data: bytes) -> str:
    return " ".join(data.decode("utf-8", "replace").split())[:300]


class Tally:
    """The verdicts of one solution's tests so far, and what they cost."""

    def __init__(self, tests: int, config: JudgeConfig):
        self.tier = STD
        self.retries = 0
        self._tests = tests
        self._config = config
        self._verdicts: list[Verdict] = []
        self._detail = ""
        self._cpu_s = 0.0
        self._peak_mib = 0.0
        self._untested = 0

    @property
    def budget_left_s(self) -> float:
        """CPU time that the solution may still use."""
        return self._config.budget_cpu_s - self._cpu_s

    def add(self, verdict: Verdict, detail: str, outcome: Outcome | None = None) -> None:
        """Adds one test's verdict; `outcome` is missing where nothing was learnt about the solution."""
        if verdict is not Verdict.AC and (not self._detail or verdict is Verdict.IE):
            self._detail = f"test {len(self._verdicts)}: {verdict.value}: {detail}"
        self._verdicts.append(verdict)
        if outcome is not None:
            self._cpu_s += outcome.cpu_s
            self._peak_mib = max(self._peak_mib, outcome.peak_mib)

    def reject(self, why: str) -> None:
        """The program does not compile: it fails every test."""
        self._verdicts = [Verdict.CE] * self._tests
        self._detail = f"test 0: CE: {why}"

    def settled(self) -> bool:
        """Whether the rest is not run any more; if so, gives the rest its verdicts."""
        left = self._tests - len(self._verdicts)
        limit = self._config.stop_after_timeouts
        rest: Verdict | None = None
        if Verdict.IE in self._verdicts[-1:]:
            # The rest would say nothing: there will be no pass rate.
            rest = Verdict.IE
        elif 0 < limit <= self._verdicts.count(Verdict.TLE):
            rest, why = Verdict.TLE, f"after {limit} time-outs"
        elif self._cpu_s >= self._config.budget_cpu_s:
            rest, why = Verdict.TLE, f"after {self._cpu_s:.1f} s of CPU, the solution's budget"
        if rest is Verdict.TLE:
            self._detail = f"{self._detail or 'all passed so far'} ({left} tests not run {why})"
            self._untested = left
        if rest is not None:
            self._verdicts += [rest] * left
        return rest is not None

    def judgement(self, layers: tuple[str, ...], *, queue_s: float, wall_s: float) -> Judgement:
        """What was found."""
        verdicts = tuple(self._verdicts)
        graded = Verdict.IE not in verdicts
        passed = verdicts.count(Verdict.AC)
        return Judgement(
            verdicts,
            passed / len(verdicts) if graded else None,
            passed == len(verdicts) if graded else None,
            layers,
            Usage(self._cpu_s, wall_s, self._peak_mib, queue_s),
            self._detail,
            self._untested,
            self.tier,
            self.retries,
        )
