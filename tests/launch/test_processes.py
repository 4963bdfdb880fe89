# SPDX-License-Identifier: Apache-2.0
"""Ending what a run started. Everything runs in a process of its own: `end_descendants` means all of its caller's."""

import json
import subprocess
import sys
import uuid
from multiprocessing import shared_memory

import psutil
import pytest

from klear_verl.launch import processes

STUBBORN = """
import signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("ready", file=open(sys.argv[1], "w"), flush=True)
time.sleep(300)
"""
DAEMON = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
    os._exit(0)
os.wait()
"""
PLAIN = "import sys, time; open(sys.argv[1], 'w').write('ready'); time.sleep(300)"


def run_in_own_process(tmp_path, starts, patience_s=0.6):
    """Starts each (program, daemonised) below one supervisor, ends all, and reports; a file each says `ready`."""
    script = """
import json, subprocess, sys, time, pathlib, psutil
from klear_verl.launch import processes
starts, patience_s, folder, daemon = json.loads(sys.argv[1])
processes.adopt_orphans()
for number, (program, daemonised) in enumerate(starts):
    ready = f"{folder}/{number}"
    wrap = ["-c", daemon, program, ready] if daemonised else ["-c", program, ready]
    subprocess.Popen([sys.executable, *wrap])
while len(list(pathlib.Path(folder).iterdir())) < len(starts):
    time.sleep(0.02)
alive = [p for p in psutil.Process().children(recursive=True) if p.status() != "zombie"]
started = time.monotonic()
ended = processes.end_descendants(patience_s)
print(json.dumps({"pids": [p.pid for p in alive], "ended": ended, "seconds": time.monotonic() - started}))
"""
    argument = json.dumps([starts, patience_s, str(tmp_path), DAEMON])
    done = subprocess.run([sys.executable, "-c", script, argument], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def still_running(pids):
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def test_a_plain_child_is_asked_and_ends_at_once(tmp_path):
    report = run_in_own_process(tmp_path, [[PLAIN, False]], patience_s=200)
    assert report["ended"] == 1
    assert not still_running(report["pids"])
    assert report["seconds"] < 100


def test_a_child_that_ignores_being_asked_is_killed_after_the_patience(tmp_path):
    report = run_in_own_process(tmp_path, [[STUBBORN, False]])
    assert not still_running(report["pids"])
    assert report["seconds"] >= 0.5


def test_a_double_forked_grandchild_in_its_own_session_that_ignores_signals_is_ended(tmp_path):
    report = run_in_own_process(tmp_path, [[STUBBORN, True], [PLAIN, True], [PLAIN, False]])
    assert len(report["pids"]) >= 3
    assert not still_running(report["pids"])


def test_a_child_that_keeps_forking_while_it_is_ended_leaves_nothing(tmp_path):
    breeder = (
        "import os, signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nopen(sys.argv[1], 'w')\n"
        "while True:\n    if os.fork() == 0:\n        time.sleep(0.3); os._exit(0)\n    time.sleep(0.02)\n"
    )
    report = run_in_own_process(tmp_path, [[breeder, False]])
    assert not still_running(report["pids"])


def test_nothing_to_end_is_no_error(tmp_path):
    report = run_in_own_process(tmp_path, [])
    assert (report["ended"], report["pids"]) == (0, [])


def test_a_process_that_vanishes_between_listing_and_asking_counts_as_ended():
    child = subprocess.Popen([sys.executable, "-c", ""])
    process = psutil.Process(child.pid)
    child.wait()
    assert not processes.is_alive(process)


FATEFUL = """
import os, subprocess, sys, time
from functools import partial
from klear_verl.launch.processes import die_with_parent
child = subprocess.Popen(["sleep", "300"], preexec_fn=partial(die_with_parent, int(sys.argv[1]) or os.getpid()))
print(child.pid, flush=True)
{then}
"""


def test_a_process_that_dies_with_its_parent_does_so_when_the_parent_is_killed():
    script = FATEFUL.format(then="time.sleep(300)")
    with subprocess.Popen([sys.executable, "-c", script, "0"], stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
    assert not psutil.wait_procs([child], timeout=120)[1]


def test_a_process_whose_parent_has_died_before_it_could_say_so_ends_at_once():
    script = FATEFUL.format(then="print(child.wait())")
    somebody_else = str(psutil.Process().ppid())
    done = subprocess.run([sys.executable, "-c", script, somebody_else], capture_output=True, text=True, timeout=120)
    assert done.stdout.split()[-1:] == ["-9"], done.stderr


@pytest.fixture
def segment():
    """Makes files in shared memory; what the test leaves is removed."""
    made = []

    def make(prefix):
        path = processes.SHARED_MEMORY / f"{prefix}{uuid.uuid4().hex}"
        path.write_bytes(bytes(64))
        made.append(path)
        return path

    if not processes.SHARED_MEMORY.is_dir():
        pytest.skip("no /dev/shm")
    yield make
    for path in made:
        path.unlink(missing_ok=True)


@pytest.fixture
def only_these(monkeypatch, tmp_path, segment):
    """`sweep` sees all of /dev/shm; runs of others must not notice this test: a folder of our own stands for it."""
    monkeypatch.setattr(processes, "SHARED_MEMORY", tmp_path)
    return segment


def test_a_segment_left_behind_is_removed_and_named(only_these):
    before = processes.shared_memory_segments()
    left = only_these("verl_weights_")
    assert processes.sweep_shared_memory(before) == [left.name]
    assert not left.exists()


def test_a_segment_that_was_there_before_stays(only_these):
    old = only_these("psm_")
    assert processes.sweep_shared_memory(processes.shared_memory_segments()) == []
    assert old.exists()


def test_a_segment_of_unknown_name_stays(only_these):
    before = processes.shared_memory_segments()
    foreign = only_these("somebody_")
    assert processes.sweep_shared_memory(before) == []
    assert foreign.exists()


def test_a_segment_that_a_living_process_has_mapped_stays_until_it_ends(only_these):
    before = processes.shared_memory_segments()
    path = only_these("psm_")
    code = "import mmap, sys; f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 64); print(flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"\n"
    assert processes.sweep_shared_memory(before) == []
    holder.communicate(b"\n", timeout=120)
    assert processes.sweep_shared_memory(before) == [path.name]


def test_python_shared_memory_carries_a_name_we_know(segment):
    before = processes.shared_memory_segments()
    held = shared_memory.SharedMemory(create=True, size=64)
    try:
        assert held.name in processes.shared_memory_segments() - before
    finally:
        held.close()
        held.unlink()


def test_where_there_is_no_shared_memory_there_are_no_segments(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "SHARED_MEMORY", tmp_path / "none")
    assert processes.shared_memory_segments() == set()


def test_a_semaphore_that_a_living_process_holds_stays_until_it_ends():
    before = processes.shared_memory_segments()
    code = (
        "import multiprocessing, time; held = multiprocessing.get_context('spawn').Semaphore()\n"
        "print(1, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        semaphores = {name for name in processes.shared_memory_segments() - before if name.startswith("sem.mp-")}
        assert semaphores
        assert not semaphores & set(processes.sweep_shared_memory(before))
        holder.kill()
    processes.sweep_shared_memory(before)
    assert not semaphores & processes.shared_memory_segments()
