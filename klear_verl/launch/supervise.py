# SPDX-License-Identifier: Apache-2.0
"""Running a training process as a user wants to see it: a progress line, the full log in a file, Ctrl-C that ends
everything, nothing left behind."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from klear_verl.errors import KlearError
from klear_verl.launch import processes, reaper
from klear_verl.launch.progress import RunProgress
from klear_verl.launch.run_dir import RunDir
from klear_verl.utils import forked
from klear_verl.utils.processes import python_module
from klear_verl.utils.signals import on_stop

_KILLED_LINE = re.compile(r"Signal \d+ \((SIG\w+)\) received by PID (\d+)")
"""How torchrun says that a rank was killed."""
_ERROR_LINE = re.compile(r"(?:^|\s)(?:[\w.]+\.)?(\w+(?:Error|Exception|Problem|Rollouts|Sync)): (.+)")

LAST_WORDS_S = 5.0
"""How long output is still read after the process itself has ended: a grandchild may hold the pipe open, and go on
writing."""
PATIENCE_S = 5.0
"""How long processes may take to end by themselves before they are killed."""


class RunFailed(KlearError):
    """The training process ended with an error."""


def supervise(command: Sequence[str], run_dir: RunDir, line: RunProgress) -> None:
    """Runs `command` to its end, with its output in `run_dir/log.txt` and its progress on `line`.

    Whatever happens, every process it started is gone afterwards and its shared memory is removed, even if this very
    process is killed (`reaper`). SIGTERM (a scheduler, `timeout`, a container's stop) and SIGHUP (the terminal is gone)
    end a run as Ctrl-C does. None of them raises where it arrives, so that none can cut the clean-up short, however
    many come.

    Raises:
        RunFailed: with the cause, as far as the run told it.
        KeyboardInterrupt: after everything has ended.
    """
    processes.adopt_orphans()
    before = processes.shared_memory_segments()
    lines: queue.SimpleQueue[bytes | _Stop | None] = queue.SimpleQueue()  # its put() is safe in a signal handler
    with run_dir.log_file.open("ab") as log, on_stop(lambda: lines.put(_Stop())), _lifeline() as lifeline:
        log_start = log.tell()
        child = _start(command, run_dir, lifeline)
        reader = threading.Thread(target=_read_lines, args=(child, lines), daemon=True)
        reader.start()
        try:
            death = _follow(child, lines, log, line)
        finally:
            _end(child)
            # The reaper has done this already, unless it was killed.
            processes.end_descendants(PATIENCE_S)
            if removed := processes.sweep_shared_memory(before):
                log.write(f"removed shared memory left behind: {' '.join(removed)}\n".encode())
    if death or child.returncode != 0:
        raise RunFailed(
            f"the run failed: {death or _reason(run_dir, child.returncode, log_start)}",
            f"the whole output is in {run_dir.log_file}",
        )


@contextmanager
def _lifeline() -> Iterator[int]:
    """A descriptor that is at its end once this process is gone."""
    reads, writes = os.pipe()
    try:
        yield reads
    finally:
        os.close(reads)
        os.close(writes)


def _start(command: Sequence[str], run_dir: RunDir, lifeline: int) -> subprocess.Popen[bytes]:
    """Starts the command under its reaper, which shares the lock of the run's folder."""
    reaped = python_module(reaper.__name__, str(lifeline), str(PATIENCE_S), *command)
    environment = {**os.environ, "VERL_FILE_LOGGER_PATH": str(run_dir.metrics_file), "PYTHONUNBUFFERED": "1"}
    passed = (lifeline, *run_dir.lock_descriptors)
    return subprocess.Popen(
        reaped,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
        pass_fds=passed,
        preexec_fn=forked.instead_of(reaped, passed, environment),
    )


class _Stop:
    """In the queue of lines: a signal has asked the run to end."""


def _read_lines(child: subprocess.Popen[bytes], lines: queue.SimpleQueue[bytes | _Stop | None]) -> None:
    assert child.stdout is not None
    for raw in child.stdout:
        lines.put(raw)
    lines.put(None)


def _follow(
    child: subprocess.Popen[bytes], lines: queue.SimpleQueue[bytes | _Stop | None], log: BinaryIO, line: RunProgress
) -> str | None:
    """Until the end. Returns why the run has to be ended, if it does not end by itself."""
    closed = False
    ended_at: float | None = None
    liveness = processes.Liveness()
    while True:
        if ended_at is None and child.poll() is not None:
            ended_at = time.monotonic()
        if ended_at is not None and (closed or time.monotonic() - ended_at > LAST_WORDS_S):
            return None
        if ended_at is None and (death := liveness.overdue()):
            return death
        try:
            raw = lines.get(timeout=1.0)
        except queue.Empty:
            line.tick()
            if ended_at is not None:
                return None
            continue
        if isinstance(raw, _Stop):
            raise KeyboardInterrupt
        if raw is None:
            closed = True
            continue
        log.write(raw)
        log.flush()
        line.feed(raw.decode("utf-8", "replace").rstrip())


def _end(child: subprocess.Popen[bytes]) -> None:
    """Asks the reaper to end the run. It waits, and kills, by itself."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(timeout=reaper.ASKED_S + PATIENCE_S + 45)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _reason(run_dir: RunDir, code: int, log_start: int) -> str:
    if run_dir.error_file.is_file():
        return run_dir.error_file.read_text(encoding="utf-8").strip()
    for text in reversed(_tail(run_dir.log_file, log_start)):
        if match := _ERROR_LINE.search(text):
            return f"{match[1]}: {match[2]}"
        if match := _KILLED_LINE.search(text):
            return f"process {match[2]} of the run ended with signal {match[1]}"
    number = code - 128 if code > 128 else -code  # the reaper reports the training process's, or its own end
    how = f"signal {signal.Signals(number).name}" if number in set(signal.Signals) else f"exit status {code}"
    return f"it ended with {how}"


def _tail(path: Path, start: int, size: int = 200_000) -> list[str]:
    """The last lines of this attempt, whose output begins at byte `start`: the log holds earlier attempts' errors
    too."""
    with path.open("rb") as file:
        file.seek(max(start, path.stat().st_size - size))
        return file.read().decode("utf-8", "replace").splitlines()
