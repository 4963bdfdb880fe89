# SPDX-License-Identifier: Apache-2.0
"""A pool of grader processes with hard time-outs, which any thread may call.

Each worker is a freshly exec'd `worker.py`, spoken to over two pipes. Not multiprocessing (nor pebble on top of
it): forking would copy a parent with torch and Ray threads in it, and its spawn and forkserver methods re-import the
parent's main module in every child, which is Ray's worker script under Ray and the user's unguarded script elsewhere.
What this does not do: decide what an outcome is worth, or retry.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from klear_verl.errors import EnvironmentProblem

START_TIMEOUT_S = 120.0
_WORKER = str(Path(__file__).resolve().with_name("worker.py"))

Outcome = Literal["correct", "wrong", "bad_gold", "error", "timeout", "stalled", "crash"]


@dataclass(frozen=True)
class MathGrade:
    """The outcome of one pair: `worker.py`'s, or how its process ended: "timeout" (its CPU time was up), "stalled" (no
    answer within the wall-clock time, though CPU time was left), or "crash"."""

    outcome: Outcome
    detail: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0


class MathPool:
    """`workers` grader processes, started at first use and replaced when one dies."""

    def __init__(self, workers: int = 1, cpu_s: float = 5.0, wall_s: float = 30.0, memory_mib: int = 4096):
        self._cpu_s = cpu_s
        self._wall_s = wall_s
        self._memory_mib = memory_mib
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()  # the last used is the warmest
        self._size = workers
        self._closed = threading.Event()
        self.restarts = 0
        for _ in range(workers):
            self._idle.put(None)

    def grade(self, gold: str, answer: str) -> MathGrade:
        """Grades one pair in an idle worker, waiting for one where all are busy; the wait does not count towards the
        time-out.

        Raises:
            EnvironmentProblem: a worker process cannot be started.
        """
        worker = self._idle.get()
        try:
            if self._closed.is_set():
                raise EnvironmentProblem("the math grader pool is closed", "grade before closing the scorer")
            worker = worker or _Worker(self._memory_mib)
            result = worker.grade({"gold": gold, "answer": answer, "cpu_s": self._cpu_s}, self._wall_s)
            if result.outcome in ("timeout", "stalled", "crash"):
                worker.kill()
                worker = None
                self.restarts += 1
            return result
        except BaseException:  # a half-read reply (Ctrl-C) would answer the next question
            if worker is not None:
                worker.kill()
                worker = None
            raise
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """Ends all workers, once those that are grading have finished."""
        if self._closed.is_set():
            return
        self._closed.set()
        for _ in range(self._size):
            worker = self._idle.get()
            if worker is not None:
                worker.kill()
        for _ in range(self._size):
            self._idle.put(None)


class _Worker:
    """One process; used by one thread at a time."""

    def __init__(self, memory_mib: int):
        # The file and not the module: importing the package around it takes longer than grading a hundred answers.
        # -P keeps that file's directory off the path.
        self._process = subprocess.Popen(
            [sys.executable, "-P", _WORKER, str(memory_mib)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._buffer = b""
        try:
            self._read_line(START_TIMEOUT_S)
        except (TimeoutError, EOFError) as error:
            code = self._process.poll()
            self.kill()
            raise EnvironmentProblem(
                f"the math grader process did not start (exit status {code})",
                "its error is on standard error above; check that python-flint is installed and memory is left",
            ) from error

    def grade(self, request: dict[str, Any], wall_s: float) -> MathGrade:
        start = time.monotonic()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            reply = json.loads(self._read_line(wall_s))
        except TimeoutError:
            self.kill()
            return MathGrade("stalled", f"over {wall_s:g} s of wall-clock time", 0.0, time.monotonic() - start)
        except (EOFError, BrokenPipeError):
            return self._post_mortem(request, time.monotonic() - start)
        return MathGrade(reply["outcome"], reply["detail"], reply["cpu_s"], time.monotonic() - start)

    def _post_mortem(self, request: dict[str, Any], wall_s: float) -> MathGrade:
        """What ended the process: its limits (the signals that the worker arms) or something else."""
        code = self._process.wait()
        if code == -signal.SIGPROF:
            return MathGrade("timeout", f"over {request['cpu_s']:g} s of CPU time", request["cpu_s"], wall_s)
        return MathGrade("crash", f"the grader process ended with status {code}", 0.0, wall_s)

    def _read_line(self, timeout_s: float) -> bytes:
        """The next line of the process.

        Raises:
            TimeoutError: no line came in time.
            EOFError: the process closed its end: it is dead or dying.
        """
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1000):
                raise TimeoutError
            chunk = os.read(descriptor, 65536)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def kill(self) -> None:
        """Ends the process, however busy, and reaps it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # an unsent rest for a process that is dead
                pipe.close()
