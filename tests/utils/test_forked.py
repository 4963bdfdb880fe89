# SPDX-License-Identifier: Apache-2.0
"""A module that is started as a fork sees what a new interpreter would have shown it, and finds the imports done."""

import os
import subprocess
import sys
import textwrap

import pytest

from klear_verl.utils import forked

PARENT = """
import os, signal, subprocess, sys
from klear_verl.utils import forked

signal.signal(signal.SIGTERM, lambda *_: print("the parent's handler", flush=True))
reads, writes = os.pipe()
passed, secret = os.pipe()
if "prepared" in sys.argv:
    forked.prepare(lambda: __import__("wave"))
command = [sys.executable, "-m", "probe", str(passed), str(secret), {argument!r}]
environment = {{**os.environ, "X": "y"}}
child = subprocess.Popen(
    command, stdout=subprocess.PIPE, env=environment, pass_fds=[passed], start_new_session=True,
    preexec_fn=forked.instead_of(command, [passed], environment),
)
print(child.communicate()[0].decode().strip(), child.returncode)
"""
PROBE = """
import os, signal, sys

def main():
    passed, secret, argument = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    if argument == "exit":
        sys.exit(3)
    if argument == "raise":
        raise ValueError("on purpose")
    if argument == "killed":
        os.kill(os.getpid(), signal.SIGTERM)
    print(open_(passed), open_(secret), os.environ["X"], os.getsid(0) == os.getpid(), len(sys.argv), end=" ")
    print("wave" in sys.modules, flush=True)

def open_(file):
    try:
        return bool(os.fstat(file))
    except OSError:
        return False

if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.fixture
def start(tmp_path):
    """Starts the probe from a parent, prepared or not; returns its output and exit status."""

    def run(argument: str, *, prepared: bool) -> str:
        (tmp_path / "probe.py").write_text(textwrap.dedent(PROBE))
        (tmp_path / "parent.py").write_text(PARENT.format(argument=argument))
        command = [sys.executable, "parent.py", *(["prepared"] if prepared else [])]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_files_environment_session_and_arguments_are_those_of_a_new_interpreter(start):
    assert start("look", prepared=False) == "True False y True 4 False 0"
    assert start("look", prepared=True) == "True False y True 4 True 0"


@pytest.mark.parametrize("argument", ["exit", "raise", "killed"])
def test_ends_as_a_new_interpreter_would(start, argument):
    assert start(argument, prepared=True) == start(argument, prepared=False)


def test_unprepared_process_leaves_popen_as_it_is():
    first = object()
    assert forked.instead_of([sys.executable, "-m", "probe"]) is None
    assert forked.instead_of([sys.executable, "-m", "probe"], first=first) is first
