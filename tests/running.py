# SPDX-License-Identifier: Apache-2.0
"""Whole runs inside tests: what a test starts ends with it, and a run may take any time as long as it gets on."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kill_bench.marked import MarkedCommand

STALLED_S = 300.0
"""Several times what the longest phase of a small run takes beside two busy neighbours."""
_LOOK_EVERY_S = 0.02
_MAPPED_EVERY_S = 5.0


@contextmanager
def running(command: Sequence[str], output: Path, **environment: str) -> Iterator[MarkedCommand]:
    """Starts `command`, whose output goes to the file `output`. However the block is left, all of its processes are
    killed and the shared memory that they had mapped is removed."""
    with MarkedCommand(command, output, environment, mark=f"KLEAR_TEST_RUN={uuid.uuid4().hex}") as run:
        yield run


def wait_while_progressing(
    run: MarkedCommand, until: Callable[[], bool] | None = None, stalled_s: float = STALLED_S
) -> None:
    """Waits for the end of the command, or until `until` comes true. There is no limit to the time that this takes, but
    the command must show something new at least every `stalled_s`.

    Raises:
        AssertionError: it showed nothing new, or it ended before `until` was true.
    """
    shown, shown_at, mapped_at = "", time.monotonic(), 0.0
    while not (until is not None and until()):
        ended = run.process.poll() is not None
        if ended and until is None:
            return
        now = time.monotonic()
        if run.output != shown:
            shown, shown_at = run.output, now
        assert not ended or (until is not None and until()), f"ended too early:\n{shown[-3000:]}"
        assert now - shown_at < stalled_s, f"nothing new for {stalled_s:.0f} s:\n{shown[-3000:]}"
        if now - mapped_at > _MAPPED_EVERY_S:
            run.mapped_segments()  # so that `segments_left` knows them when the processes are gone
            mapped_at = now
        time.sleep(_LOOK_EVERY_S)


def wait_for_success(run: MarkedCommand, stalled_s: float = STALLED_S) -> None:
    """Waits for the end of the command, which must be a success."""
    wait_while_progressing(run, stalled_s=stalled_s)
    assert run.process.returncode == 0, run.output[-5000:]
