# SPDX-License-Identifier: Apache-2.0
"""What a program leaves running is killed even where no filter stops it from forking. These run with every optional
layer off.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from klear_verl.judge import Limits
from klear_verl.judge.sandbox.layers import zygote_setup
from klear_verl.judge.sandbox.session import Outcome, RunInput, Session
from klear_verl.judge.sandbox.supervisor import SandboxFailure, Zygote

NAME = f"klearleft{os.getpid()}"[:15]
LIMITS = Limits(cpu_s=0.5, wall_s=1.5).for_run()
RENAME = f"import ctypes, os, time\nctypes.CDLL(None).prctl(15, b'{NAME}')\n"


@pytest.fixture(params=[True, False], ids=["namespaces", "no namespaces"])
def bare(request: pytest.FixtureRequest) -> Iterator[Zygote]:
    zygote = Zygote(dataclasses.replace(zygote_setup(), seccomp=(), landlock=False, namespaces=request.param))
    yield zygote
    zygote.close()


def run(zygote: Zygote, source: str) -> Outcome:
    with Session(zygote, source.encode(), LIMITS, LIMITS.cpu_s) as session:
        return session.run(RunInput(), LIMITS)


def survivors() -> list[str]:
    """Living processes of this name, once a kill has had time to arrive."""
    deadline = time.monotonic() + 120
    while (found := living()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def living() -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue  # ended meanwhile
        if name == NAME and rest.split()[0] != "Z":
            found.append(entry.name)
    return found


def test_daemon_made_by_double_fork_and_setsid_is_killed(bare: Zygote) -> None:
    source = (
        RENAME
        + "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\nelse:\n    os.wait()"
    )
    outcome = run(bare, source)
    assert (outcome.ending, survivors()) == ("exit", [])


def test_process_that_ignores_signals_and_holds_the_pipe_is_killed_at_once(bare: Zygote) -> None:
    started = time.monotonic()
    outcome = run(
        bare, RENAME + "import signal\nsignal.signal(15, signal.SIG_IGN)\nif os.fork() == 0:\n    time.sleep(600)"
    )
    assert (outcome.ending, survivors()) == ("exit", [])
    assert time.monotonic() - started < 200  # not after the ten minutes that it would sleep


def test_stopped_descendants_are_killed(bare: Zygote) -> None:
    outcome = run(
        bare,
        RENAME + "import signal\nif os.fork() == 0:\n    os.kill(os.getpid(), signal.SIGSTOP)\nelse: time.sleep(0.1)",
    )
    assert (outcome.ending, survivors()) == ("exit", [])


def test_processor_time_of_escaped_processes_counts(bare: Zygote) -> None:
    source = RENAME + "if os.fork() == 0:\n    os.setsid()\n    while True: pass\nelse:\n    time.sleep(0.6)"
    assert run(bare, source).cpu_s > 0.04  # by itself the parent needs a tenth of it


def test_chain_of_forks_is_killed_to_the_last(bare: Zygote) -> None:
    source = (
        RENAME + "for _ in range(20):\n    if os.fork(): time.sleep(0.01)\n    else: os.setsid()\n    if _ > 5: break"
    )
    run(bare, source)
    assert survivors() == []


def test_everything_dies_with_the_session(bare: Zygote) -> None:
    with Session(bare, (RENAME + "time.sleep(600)").encode(), LIMITS, 1.0) as session:
        thread = threading.Thread(target=lambda: suppress_death(session))
        thread.start()
        deadline = time.monotonic() + 120
        while not living() and time.monotonic() < deadline:
            time.sleep(0.01)
        bare.close()
        thread.join()
    assert survivors() == []


def suppress_death(session: Session) -> None:
    with contextlib.suppress(SandboxFailure):
        session.run(RunInput(), Limits(cpu_s=60, wall_s=60).for_run())


def test_fork_bomb_is_cleared_away(bare: Zygote) -> None:
    source = RENAME + "for _ in range(60):\n    if os.fork() == 0: time.sleep(600)"
    assert run(bare, source).status == 0
    assert survivors() == []


def test_nothing_can_be_left_in_the_working_folder(bare: Zygote) -> None:
    outcome = run(bare, "import os\nprint(os.getuid())\nos.mkdir('a')")
    assert outcome.status != 0 or int(outcome.stdout) == os.getuid() == 0
