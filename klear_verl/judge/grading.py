# SPDX-License-Identifier: Apache-2.0
"""From what the kernel says about one run, and what the run left behind, to its verdict. Pure functions."""

from __future__ import annotations

import os
import signal

from klear_verl.judge.checkers import outputs_match, values_match
from klear_verl.judge.config import Limits
from klear_verl.judge.problem import CallTest, Comparison, StdioTest, Test
from klear_verl.judge.sandbox.monitor import MAX_THREADS
from klear_verl.judge.sandbox.session import Outcome
from klear_verl.judge.sandbox.zygote import program, tester, values
from klear_verl.judge.verdict import Verdict

_NEAR_MEMORY_LIMIT = 0.8


def grade(test: Test, outcome: Outcome, limits: Limits, comparison: Comparison) -> tuple[Verdict, str]:
    """The verdict of one run, and one line that says why ("" for AC)."""
    if outcome.reason == "threads":
        return Verdict.RE, f"more than {MAX_THREADS} threads"
    if outcome.reason in ("cpu", "wall") or outcome.cpu_s > limits.cpu_s or _signal(outcome.status) == signal.SIGXCPU:
        why = "wall-clock" if outcome.reason == "wall" else "CPU"
        return Verdict.TLE, f"{why} limit: {outcome.cpu_s:.2f} s CPU, {outcome.wall_s:.2f} s wall"
    if len(outcome.stdout) >= int(limits.stdout_mib * (1 << 20)):
        return Verdict.OLE, f"more than {limits.stdout_mib:g} MiB of output"
    if isinstance(test, (StdioTest, CallTest)):
        if outcome.status != 0:
            return _crashed(outcome, limits)
        if isinstance(test, CallTest):
            return _grade_value(outcome.value, test)
        actual = outcome.stdout.decode("utf-8", "surrogateescape")
        if outputs_match(actual, test.output, comparison):
            return Verdict.AC, ""
        return Verdict.WA, f"got {_short(actual)}, expected {_short(test.output)}"
    return _grade_asserts(outcome, limits)


def _grade_asserts(outcome: Outcome, limits: Limits) -> tuple[Verdict, str]:
    said, text = outcome.report[:1], _text(outcome.report[1:])
    if said == tester.PASSED and outcome.tester_status == 0:
        return Verdict.AC, ""
    if said == tester.FAILED:
        return Verdict.WA, f"a test failed: {text}"
    if outcome.status != 0:
        return _crashed(outcome, limits)
    if said == tester.RAISED:
        return Verdict.RE, text
    if _signal(outcome.tester_status) == signal.SIGKILL:
        return Verdict.IE, "the process of the test was killed, not by us"
    return Verdict.RE, f"the test ended without a word (wait status {outcome.tester_status})"


def _signal(status: int) -> int:
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _crashed(outcome: Outcome, limits: Limits) -> tuple[Verdict, str]:
    last = outcome.stderr.decode("utf-8", "replace").rstrip().rpartition("\n")[2]
    killed_by = _signal(outcome.status)
    if last.startswith("MemoryError") or (killed_by and outcome.peak_mib > _NEAR_MEMORY_LIMIT * limits.memory_mib):
        return (
            Verdict.MLE,
            f"{outcome.peak_mib:.0f} MiB resident; the limit is {limits.memory_mib} MiB of address space",
        )
    status = os.waitstatus_to_exitcode(outcome.status)
    what = f"killed by signal {killed_by}" if killed_by else f"exit status {status}"
    return Verdict.RE, f"{what}: {last}"[:300]


def _grade_value(said: bytes, test: CallTest) -> tuple[Verdict, str]:
    if said[:1] != program.RETURNED:
        return Verdict.RE, "left before the call returned"
    try:
        actual = values.decode(said[1:])
    except ValueError as error:
        return Verdict.WA, f"the result can't be read: {error}"[:300]
    if any(values_match(actual, expected) for expected in (test.expected, *test.alternatives)):
        return Verdict.AC, ""
    return Verdict.WA, f"got {_short(actual)}, expected {_short(test.expected)}"


def _short(value: object) -> str:
    try:
        text = ascii(value[:40] if isinstance(value, (str, list)) else value)
    except (ValueError, RecursionError):
        return "a huge value"  # an int of more than 4300 digits has no decimal text
    return text if len(text) <= 80 else f"{text[:77]}..."


def _text(data: bytes) -> str:
    return " ".join(data.decode("utf-8", "replace").split())[:300]
