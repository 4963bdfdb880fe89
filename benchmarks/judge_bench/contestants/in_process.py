# SPDX-License-Identifier: Apache-2.0
"""Execution inside the grader's own process, as LiveCodeBench's grader does it: the fastest and the least safe.

A minimal re-statement: the program is compiled once, executed per test with fresh globals, replaced standard streams
and `signal.alarm`. No isolation of any kind: the program could read the expected outputs, or end the grader.
LiveCodeBench stops at the first failure; here all tests run, so that the figures mean the same as ours.
"""

from __future__ import annotations

import io
import signal
import sys
from types import CodeType, FrameType
from typing import Any

from ..programs import Case
from . import Done, same_lines

ALARM_S = 6


class _TimedOut(BaseException):
    pass


class InProcess:
    """Only for the main thread, as `signal.alarm` is."""

    def __init__(self) -> None:
        signal.signal(signal.SIGALRM, _raise)

    def judge(self, case: Case, deadline: float) -> Done:
        tests = case.problem.tests
        try:
            code = compile(case.source, "solution.py", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return Done(len(tests), False)
        passed = [same_lines(output, test.output) for test in tests if (output := _run(code, test.input)) is not None]
        return Done(len(tests), len(passed) == len(tests) and all(passed))

    def facts(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


def _run(code: CodeType, stdin: str) -> str | None:
    """What the program prints; None where it raises or takes too long."""
    streams = sys.stdin, sys.stdout
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()))
    sys.stdout = output = io.StringIO()
    signal.alarm(ALARM_S)
    try:
        exec(code, {"__name__": "__main__"})
    except SystemExit as error:
        return output.getvalue() if not error.code else None
    except (Exception, _TimedOut):
        return None
    finally:
        signal.alarm(0)
        sys.stdin, sys.stdout = streams
    return output.getvalue()


def _raise(number: int, frame: FrameType | None) -> None:
    raise _TimedOut
