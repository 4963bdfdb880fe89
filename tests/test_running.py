# SPDX-License-Identifier: Apache-2.0
"""The helpers for whole runs: what a test started ends with it, and time runs out only for what no longer gets on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.running import running, wait_for_success, wait_while_progressing

# A daemon that nobody is the parent of, with a session and a segment of shared memory of its own.
DAEMON = """
import mmap, os, sys, time
def stay():
    with open("/dev/shm/" + sys.argv[2], "w+b") as file:
        file.truncate(4096)
        kept = mmap.mmap(file.fileno(), 4096)
    open(sys.argv[1], "w").write(str(os.getpid()))
    time.sleep(600)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        stay()
    os._exit(0)
os.wait()
print("daemon started", flush=True)
time.sleep(float(sys.argv[3]))
"""


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def segment() -> Path:
    return Path(f"/dev/shm/klear-test-{os.getpid()}")


def daemon(run, note: Path) -> int:
    wait_while_progressing(run, until=lambda: note.is_file() and note.read_text() != "")
    return int(note.read_text())


def test_a_daemon_and_its_shared_memory_end_with_the_block(tmp_path: Path) -> None:
    with running(python(DAEMON, tmp_path / "pid", segment().name, 600), tmp_path / "output") as run:
        pid = daemon(run, tmp_path / "pid")
        assert not is_gone(pid) and segment().exists()
    assert is_gone(pid) and not segment().exists()


def test_they_end_when_the_block_fails_and_when_the_command_has_ended_before(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        running(python(DAEMON, tmp_path / "pid", segment().name, 1), tmp_path / "output") as run,
    ):
        pid = daemon(run, tmp_path / "pid")
        wait_for_success(run)
        assert pid in [process.pid for process in run.processes()]
        raise KeyboardInterrupt
    assert is_gone(pid) and not segment().exists()


def test_a_command_that_shows_nothing_new_has_stalled_however_busy_it_is(tmp_path: Path) -> None:
    with (
        running(python("print('step 1', flush=True)\nwhile True: pass"), tmp_path / "output") as run,
        pytest.raises(AssertionError, match=r"nothing new for 1 s:\nstep 1"),
    ):
        wait_while_progressing(run, until=lambda: run.output != "")
        wait_while_progressing(run, stalled_s=1.0)
    assert is_gone(run.process.pid)


def test_a_command_that_gets_on_may_take_longer_than_the_time_in_which_it_would_stall(tmp_path: Path) -> None:
    steps = "import time\nfor step in range(40):\n    print(step, flush=True)\n    time.sleep(0.1)"
    with running(python(steps), tmp_path / "output") as run:
        wait_while_progressing(run, until=lambda: run.output != "")
        started = time.monotonic()
        wait_for_success(run, stalled_s=3.0)
    assert time.monotonic() - started > 3.0


def test_a_command_that_ends_before_what_is_awaited_is_told_with_its_last_words(tmp_path: Path) -> None:
    with (
        running(python("print('last words')"), tmp_path / "output") as run,
        pytest.raises(AssertionError, match=r"ended too early:\nlast words"),
    ):
        wait_while_progressing(run, until=lambda: False)


def test_a_failure_is_told_with_the_output(tmp_path: Path) -> None:
    with (
        running(python("raise SystemExit('the reason')"), tmp_path / "output") as run,
        pytest.raises(AssertionError, match="the reason"),
    ):
        wait_for_success(run)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_test_left_dies_after_pytest_itself_was_killed(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "conftest.py").write_text((Path(__file__).parent / "conftest.py").read_text())
    (tmp_path / "reaper.py").write_text((Path(__file__).parent / "reaper.py").read_text())
    (tmp_path / "test_it.py").write_text(
        "import subprocess, time\n"
        "def test_it():\n"
        f"    subprocess.Popen({python(DAEMON, tmp_path / 'pid', segment().name, 0)!r})\n"
        "    time.sleep(600)\n"
    )
    inner = subprocess.Popen([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."], cwd=tmp_path)
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
            assert inner.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        pid = int((tmp_path / "pid").read_text())
        assert not is_gone(pid)
        inner.send_signal(number)
        inner.wait()
        while not is_gone(pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        inner.kill()
        inner.wait()
        segment().unlink(missing_ok=True)
