# SPDX-License-Identifier: Apache-2.0
"""For every test: Ctrl-C works, even where the shell that started the tests ignores it (a background job, some CI), and
nothing that a test started outlives the tests.

A process inherits ignored signals, and a test that interrupts a run would then wait for ever.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure: what must not take long says so in a test of its own.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def nothing_outlives_the_tests():
    """A process beside this one, for the worst case: this one is killed and can end nothing itself."""
    mark = f"KLEAR_TESTS_{os.getpid()}"
    reaper = Path(__file__).with_name("reaper.py")
    subprocess.run([sys.executable, "-S", str(reaper), str(os.getpid()), mark], check=True, stdin=subprocess.DEVNULL)
    os.environ[mark] = "1"
