# SPDX-License-Identifier: Apache-2.0
"""What a program leaves running is killed even where no filter stops it from forking. These run with every optional
layer off.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from klear_verl.judge.config import Limits
from klear_verl.judge.layers import zygote_setup
from klear_verl.judge.supervisor import Outcome, Zygote, ZygoteDied

NAME = f"klearleft{os.getpid()}"[:15]
LIMITS = Limits(cpu_s=0.5, wall_s=1.5)
RENAME = f"import ctypes, os, time\nctypes.CDLL(None).prctl(15, b'{NAME}')\n"


@pytest.fixture
def bare() -> Iterator[Zygote]:
    zygote = Zygote(dataclasses.replace(zygote_setup(), seccomp=b"", landlock=False))
    yield zygote
    zygote.close()


def run(zygote: Zygote, source: str) -> Outcome:
    return zygote.run("stdio", json.dumps({"source": source}).encode(), b"", b"", LIMITS, 0)


def survivors() -> list[str]:
    """Living processes of this name, once a kill has had time to arrive."""
    deadline = time.monotonic() + 5
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
    assert (outcome.reason, outcome.leftovers, survivors()) == ("exit", 1, [])


def test_process_that_ignores_signals_and_holds_the_pipe_is_killed_at_once(bare: Zygote) -> None:
    started = time.monotonic()
    outcome = run(
        bare, RENAME + "import signal\nsignal.signal(15, signal.SIG_IGN)\nif os.fork() == 0:\n    time.sleep(600)"
    )
    assert (outcome.reason, survivors()) == ("exit", [])
    assert time.monotonic() - started < 1.5


def test_stopped_descendants_are_killed(bare: Zygote) -> None:
    outcome = run(
        bare,
        RENAME + "import signal\nif os.fork() == 0:\n    os.kill(os.getpid(), signal.SIGSTOP)\nelse: time.sleep(0.1)",
    )
    assert (outcome.leftovers, survivors()) == (1, [])


def test_processor_time_of_escaped_processes_counts(bare: Zygote) -> None:
    source = RENAME + "if os.fork() == 0:\n    os.setsid()\n    while True: pass\nelse:\n    time.sleep(0.6)"
    assert run(bare, source).cpu_s > 0.04  # by itself the parent needs a tenth of it


def test_chain_of_forks_is_killed_to_the_last(bare: Zygote) -> None:
    source = (
        RENAME + "for _ in range(20):\n    if os.fork(): time.sleep(0.01)\n    else: os.setsid()\n    if _ > 5: break"
    )
    run(bare, source)
    assert survivors() == []


def test_child_dies_with_the_zygote_that_it_kills(bare: Zygote) -> None:
    with pytest.raises(ZygoteDied):
        run(bare, RENAME + "os.kill(os.getppid(), 9)\ntime.sleep(600)")
    assert survivors() == []


def test_names_left_in_the_working_folder_are_gone_for_the_next_program(bare: Zygote) -> None:
    run(bare, "import os\nos.mkdir('a')\nopen('a/b', 'w')\nos.symlink('/', 'c')")
    assert run(bare, "import os\nprint(os.listdir())").stdout == b"[]\n"
