# SPDX-License-Identifier: Apache-2.0
"""The benchmark's side of a contestant: its processes, the cores they get, and bounded waiting for what they say."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import machine
from .programs import Case

ANSWER_S = 180.0
"""No single slice takes that long: who is silent longer hangs."""


class ContestantFailed(Exception):
    """A contestant's process ended or hung."""


class Team:
    """The processes of one contestant. Ours serves all cores from one process, as in training; the others, which know
    no parallelism, get a process per core.

    Args:
        name: as in `runner.make`.
        options: the contestant's options.
        cores: how many cores it must be able to use at once.
    """

    def __init__(self, name: str, options: dict[str, Any], cores: int):
        self._threaded = name == "ours"
        if self._threaded:
            options = {"slots": cores, **options}
        count = 1 if self._threaded else cores
        self._processes = [_start(name, options) for _ in range(count)]
        self.facts: dict[str, Any] = {}

    def load(self, cases: Sequence[Case], stride: int = 1) -> None:
        """Hands over the solutions of the next slices."""
        rows = [{**asdict(case), "problem": case.problem.model_dump()} for case in cases]
        for process in self._processes:
            _send(process, {"cases": rows, "stride": stride})
        for process in self._processes:
            _receive(process, ANSWER_S)

    def go(self, seconds: float, whole: bool, cores: set[int]) -> list[dict[str, Any]]:
        """Times one slice on `cores`, a worker each. Returns the workers' `Slice`s."""
        active = self._processes[:1] if self._threaded else self._processes[: len(cores)]
        for process in active:
            machine.pin(process.pid, cores)
        workers = len(cores) if self._threaded else 1
        for first, process in enumerate(active):
            _send(process, {"seconds": seconds, "whole": whole, "first": first, "workers": workers})
        answers = [_receive(process, ANSWER_S) for process in active]
        self.facts = answers[0]["facts"]
        return [worker for answer in answers for worker in answer["workers"]]

    def close(self) -> None:
        """Ends the contestant and all that it started."""
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
        for process in self._processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                for member in reversed(machine.tree(process.pid)):
                    member.kill()
                process.wait()


def _start(name: str, options: dict[str, Any]) -> subprocess.Popen[bytes]:
    paths = [str(Path(__file__).parents[1]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": "1",
        "VERL_USE_EXTERNAL_PLUGINS": "none",  # verl as it is, without our plugin
    }
    return subprocess.Popen(
        machine.python_module("runner", name, json.dumps(options)),
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,  # whatever a contestant kills by mistake, it is not the benchmark
    )


def _send(process: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert process.stdin is not None
    data = memoryview(json.dumps(message).encode() + b"\n")
    try:
        while data:
            data = data[process.stdin.write(data) or 0 :]
    except BrokenPipeError as error:
        raise ContestantFailed(f"it ended with status {process.wait()}") from error


def _receive(process: subprocess.Popen[bytes], timeout_s: float) -> dict[str, Any]:
    assert process.stdout is not None
    data, deadline = b"", time.monotonic() + timeout_s
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise ContestantFailed(f"no answer within {timeout_s:.0f} s")
        chunk = os.read(process.stdout.fileno(), 1 << 16)
        if not chunk:
            raise ContestantFailed(f"it ended with status {process.wait()}")
        data += chunk
    return json.loads(data)
