# SPDX-License-Identifier: Apache-2.0
"""Runs the training command for each run that is not finished, some at a time, and keeps the record of how far each is.

A failed run does not stop the others; an interruption stops all, each by its own clean end. The record is
OUT/ablation.json:

    {"ablations": {NAME: {"spec": {…}, "updated": "…", "arms": {ARM: {"digest": "…", "runs": {SEED: RUN}}}}}}

where RUN is {"dir": "runs/…", "status": "finished", "detail": null}. Directories are relative to OUT, which may be
moved. Several specs may use one OUT; each has its own entry.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from klear_verl.ablation.plan import AblationSpec, PlannedRun
from klear_verl.errors import DataError
from klear_verl.utils.files import write_json
from klear_verl.utils.signals import on_stop

RunStatus = Literal["waiting", "running", "finished", "failed", "interrupted"]
OnLine = Callable[[PlannedRun, str], None]
OnStatus = Callable[[PlannedRun, RunStatus, str | None], None]

TAIL_LINES = 30
_PREFIX = re.compile(r"^\[[^\]]*\] ")
"""`[math_rl 1:10] `, with which a run's progress line begins."""


class Record:
    """The entry of one spec in `out`/ablation.json; every change is written at once, and whole."""

    def __init__(self, out: Path, spec: AblationSpec, runs: Sequence[PlannedRun]):
        """Replaces an earlier entry of the same name; entries of other specs stay.

        Raises:
            DataError: the file is there and damaged.
        """
        self._path = out / "ablation.json"
        self._others = {name: entry for name, entry in _read(self._path).items() if name != spec.name}
        self._name = spec.name
        self._spec = spec.model_dump(mode="json", exclude={"prepare"})
        self._arms: dict[str, dict[str, Any]] = {}
        for run in runs:
            arm = self._arms.setdefault(run.arm.name, {"digest": run.arm.digest, "runs": {}})
            status: RunStatus = "finished" if run.is_finished else "waiting"
            arm["runs"][str(run.seed)] = {
                "dir": str(run.directory.relative_to(out)),
                "status": status,
                "detail": None,
            }
        self._write()

    def set(self, run: PlannedRun, status: RunStatus, detail: str | None = None) -> None:
        """Records how far a run is; `detail` is the reason where it failed."""
        self._arms[run.arm.name]["runs"][str(run.seed)].update(status=status, detail=detail)
        self._write()

    def status(self, run: PlannedRun) -> RunStatus:
        """How far a run is."""
        return self._arms[run.arm.name]["runs"][str(run.seed)]["status"]

    def detail(self, run: PlannedRun) -> str | None:
        """Why a run failed."""
        return self._arms[run.arm.name]["runs"][str(run.seed)]["detail"]

    def _write(self) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"spec": self._spec, "updated": now, "arms": self._arms}
        write_json(self._path, {"ablations": {**self._others, self._name: entry}})


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["ablations"]
        return dict(entries)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a record of ablations: {error}", "move it away (finished runs are found again without it)"
        ) from error


class Runner:
    """Runs a grid once.

    Args:
        command: what runs one: given a run's arguments, it ends with 0 if the run is finished. `klear train`.
        on_line: called with each line that a run prints.
        on_status: called whenever a run starts or ends, with the reason where it failed.
    """

    def __init__(self, command: Sequence[str], on_line: OnLine, on_status: OnStatus):
        self._command = list(command)
        self._on_line = on_line
        self._on_status = on_status
        self._mutex = threading.Lock()
        self._living: set[subprocess.Popen[str]] = set()
        self._stopping = False

    def run(self, runs: Sequence[PlannedRun], jobs: int) -> None:
        """Runs all of `runs`, `jobs` at a time, in their order.

        Raises:
            KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP arrived; after every run has ended.
        """
        with on_stop(self._stop), ThreadPoolExecutor(jobs) as pool:
            futures = [pool.submit(self._one, run) for run in runs]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:  # such as a full disk: the pool must not begin the next run
                self._stop()
                raise
        if self._stopping:
            raise KeyboardInterrupt

    def _one(self, run: PlannedRun) -> None:
        with self._mutex:
            if self._stopping:
                return
            # A process group of its own: Ctrl-C reaches a run once, through this process.
            process = subprocess.Popen(
                [*self._command, *run.arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                process_group=0,
            )
            self._living.add(process)
            if self._stopping:  # since the line above: this one was not among the living yet
                process.send_signal(signal.SIGTERM)
            self._on_status(run, "running", None)
        assert process.stdout is not None
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        for line in process.stdout:
            text = _PREFIX.sub("", line.rstrip())
            tail.append(text)
            with self._mutex:
                self._on_line(run, text)
        code = process.wait()
        with self._mutex:
            self._living.discard(process)
            if code == 0:
                self._on_status(run, "finished", None)
            elif self._stopping:
                self._on_status(run, "interrupted", None)
            else:
                self._on_status(run, "failed", _reason(list(tail), code))

    def _stop(self) -> None:
        """Asks the runs to end, and lets none begin. Takes no lock: it may be called as a signal handler, amid code
        that holds one."""
        self._stopping = True
        # A copy: another thread may be adding or removing one. SIGTERM, since a background job ignores SIGINT and hands
        # that on to its children.
        for process in list(self._living):
            process.send_signal(signal.SIGTERM)


def _reason(tail: list[str], code: int) -> str:
    """What the run said last: from the last line that begins a message of ours, or else the last line."""
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    ours = [number for number, line in enumerate(tail) if line.startswith("klear: ")]
    if ours:
        return "\n".join(tail[ours[-1] :]).removeprefix("klear: ")
    said = [line for line in tail if line.strip()]
    return f"{said[-1]} ({how})" if said else how
