# SPDX-License-Identifier: Apache-2.0
"""From what the kernel and the pipes say about one run to its verdict. Pure functions; see `zygote/child.py` for the
report's format.
"""

from __future__ import annotations

import hmac
import os
import signal

from klear_verl.judge.compare import outputs_match, values_match
from klear_verl.judge.config import Limits
from klear_verl.judge.problem import CallTest, Comparison, StdioTest, Test
from klear_verl.judge.supervisor import Outcome
from klear_verl.judge.verdict import Verdict
from klear_verl.judge.zygote import values

_NEAR_MEMORY_LIMIT = 0.8


def grade(test: Test, outcome: Outcome, limits: Limits, comparison: Comparison, token: bytes) -> tuple[Verdict, str]:
    """The verdict of one run, and one line that says why ("" for AC).

    Args:
        token: the secret that tests with asserts send back when they have reached their end.
    """
    phase, said = outcome.report[:1], outcome.report[1:]
    if phase == b"I":
        return Verdict.IE, f"the judge's child failed: {_text(said)}"
    if outcome.reason == "output":
        return Verdict.OLE, f"more than {limits.stdout_mib:g} MiB of output"
    if outcome.reason in ("cpu", "wall") or outcome.cpu_s > limits.cpu_s or _signal(outcome) == signal.SIGXCPU:
        why = "wall-clock" if outcome.reason == "wall" else "CPU"
        return Verdict.TLE, f"{why} limit: {outcome.cpu_s:.2f} s CPU, {outcome.wall_s:.2f} s wall"
    if phase == b"E":
        return Verdict.CE, _text(said)
    if phase != b"C":
        return _died_before_compiled(outcome)
    if outcome.status != 0:
        return _crashed(outcome, limits, said)
    if isinstance(test, StdioTest):
        actual = outcome.stdout.decode("utf-8", "surrogateescape")
        if outputs_match(actual, test.output, comparison):
            return Verdict.AC, ""
        return Verdict.WA, f"got {_short(actual)}, expected {_short(test.output)}"
    if isinstance(test, CallTest):
        return _grade_value(said, test)
    if len(token) == len(said) - 1 and hmac.compare_digest(said, b"T" + token):
        return Verdict.AC, ""
    return Verdict.RE, "left before its tests were done"


def _signal(outcome: Outcome) -> int:
    return os.WTERMSIG(outcome.status) if os.WIFSIGNALED(outcome.status) else 0


def _died_before_compiled(outcome: Outcome) -> tuple[Verdict, str]:
    # A program can crash the compiler (deep nesting), but SIGKILL at this point is somebody else's: the out-of-memory
    # killer's.
    if _signal(outcome) in (0, signal.SIGKILL):
        return Verdict.IE, f"the judge's child ended before it had compiled the program (wait status {outcome.status})"
    return Verdict.CE, f"the program crashes the compiler: {signal.Signals(_signal(outcome)).name}"


def _crashed(outcome: Outcome, limits: Limits, said: bytes) -> tuple[Verdict, str]:
    last = outcome.stderr.decode("utf-8", "replace").rstrip().rpartition("\n")[2]
    killed_by = _signal(outcome)
    if last.startswith("MemoryError") or (killed_by and outcome.peak_mib > _NEAR_MEMORY_LIMIT * limits.memory_mib):
        return (
            Verdict.MLE,
            f"{outcome.peak_mib:.0f} MiB resident; the limit is {limits.memory_mib} MiB of address space",
        )
    if said[:1] == b"W":
        return Verdict.WA, f"a test failed: {last}"[:300]
    what = f"killed by signal {killed_by}" if killed_by else f"exit status {os.waitstatus_to_exitcode(outcome.status)}"
    return Verdict.RE, f"{what}: {last}"[:300]


def _grade_value(said: bytes, test: CallTest) -> tuple[Verdict, str]:
    if said[:1] != b"V":
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
