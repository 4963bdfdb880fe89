# SPDX-License-Identifier: Apache-2.0
"""Running a training process. The supervisor ends all its descendants, so each test gives it a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from omegaconf import OmegaConf

from klear_verl.launch import processes
from klear_verl.launch.run_dir import RunDir, RunRecord
from klear_verl.utils.processes import python_module

SUPERVISOR = """
import json, signal, sys
from omegaconf import OmegaConf
from klear_verl.launch.progress import RunProgress
from klear_verl.launch.run_dir import RunDir, RunRecord
from klear_verl.launch import processes, supervise as room
from klear_verl.launch.supervise import RunFailed, supervise
# The stubborn need killing after the patience anyhow, and the dead are dead: less patience makes the tests quicker,
# not other.
room.PATIENCE_S = room.LAST_WORDS_S = 0.5
processes.LOOK_EVERY_S, processes.GRACE_S = 0.1, 1.0
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts with it ignored
run = RunDir(sys.argv[1])
run.start(RunRecord("rl", "recipe", 0), OmegaConf.create())
report = {}
line = RunProgress("run", 3)
try:
    supervise([sys.executable, "-c", sys.argv[2], str(run.path)], run, line)
    report["end"] = "finished"
except RunFailed as error:
    report.update(end="failed", what=error.what, remedy=error.remedy)
except KeyboardInterrupt:
    report["end"] = "interrupted"
report["step"] = line.done
print(json.dumps(report))
"""
STUBBORN_CHILD = """
import os, pathlib, signal, sys, time
def stubborn(pipe):
    if os.fork() == 0:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
        if not pipe:
            null = os.open(os.devnull, os.O_WRONLY); os.dup2(null, 1); os.dup2(null, 2)
        while True:
            if pipe == "chatty": print("still here", flush=True)
            time.sleep(0.05)
"""


class Run:
    """One supervised run: the program is the body of the training process, whose argv[1] is the run's folder."""

    def __init__(self, folder, program):
        self.folder = folder
        self.log_file = folder / "log.txt"
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(folder), program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, text):
        deadline = time.monotonic() + 120
        while not (self.log_file.exists() and text in self.log_file.read_text()):
            assert time.monotonic() < deadline and self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)

    def descendants(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def report(self, timeout=120):
        out, err = self.process.communicate(timeout=timeout)
        assert self.process.returncode == 0, err
        return {**json.loads(out), "shown": err, "log": self.log_file.read_text()}


@pytest.fixture
def run(tmp_path):
    started = []

    def start(program):
        started.append(Run(tmp_path, program))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            for process in [*one.descendants(), psutil.Process(one.process.pid)]:
                process.kill()
            one.process.wait()


def living(pids):
    return [p for p in pids if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_a_run_that_ends_well_leaves_its_output_in_the_log_and_its_steps_on_the_line(run):
    report = run("print('hello'); print('step:3 - train/loss:1.5')").report()
    assert (report["end"], report["step"]) == ("finished", 3)
    assert report["log"] == "hello\nstep:3 - train/loss:1.5\n"
    assert "step 3/3  loss 1.5000" in report["shown"]
    assert "hello" not in report["shown"]


def test_the_training_process_is_told_where_its_metrics_go(run, tmp_path):
    report = run("import os; print(os.environ['VERL_FILE_LOGGER_PATH'])").report()
    assert report["log"].strip() == str(tmp_path / "metrics.jsonl")


def test_output_that_is_not_utf8_is_kept_byte_for_byte(run, tmp_path):
    program = "import sys; sys.stdout.buffer.write(b'\\xff\\xfe step\\n')"
    one = run(program)
    one.process.communicate(timeout=120)
    # Only the first line: what the clean-up then says of shared memory may be about that of a test beside this one.
    assert (tmp_path / "log.txt").read_bytes().splitlines()[0] == b"\xff\xfe step"


def test_the_cause_that_the_run_wrote_down_is_the_reason(run):
    report = run(
        "import sys; open(sys.argv[1] + '/error.txt', 'w').write('DataError: row 3\\n'); raise ValueError('other')"
    ).report()
    assert report["end"] == "failed"
    assert report["what"] == "the run failed: DataError: row 3"
    assert "log.txt" in report["remedy"]


def test_without_it_the_last_error_in_the_output_is_the_reason(run):
    report = run("print('KeyError: first'); raise ValueError('no such column: x')").report()
    assert report["what"] == "the run failed: ValueError: no such column: x"


def test_a_silent_end_is_reported_by_its_exit_status(run):
    assert run("import sys; sys.exit(7)").report()["what"] == "the run failed: it ended with exit status 7"


def test_a_run_killed_from_outside_is_reported_by_the_signal(run):
    report = run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").report()
    assert report["what"] == "the run failed: it ended with signal SIGKILL"


def test_a_rank_that_torchrun_reports_as_killed_is_named(run):
    says = "  exitcode  : -9 (pid: 25498)\\n  traceback : Signal 9 (SIGKILL) received by PID 25498"
    report = run(f"print('{says}'); raise SystemExit(1)").report()
    assert report["what"] == "the run failed: process 25498 of the run ended with signal SIGKILL"


def test_an_earlier_attempts_error_in_the_same_log_is_not_the_reason(run):
    run("raise ValueError('of the first attempt')").report()
    report = run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").report()
    assert "of the first attempt" in report["log"]
    assert report["what"] == "the run failed: it ended with signal SIGKILL"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_or_a_schedulers_stop_ends_everything_and_is_an_interrupt(run, number):
    one = run(STUBBORN_CHILD + "stubborn('')\nprint('up', flush=True)\ntime.sleep(300)")
    one.wait_for("up")
    processes = one.descendants()
    assert len(processes) >= 2
    one.process.send_signal(number)
    assert one.report()["end"] == "interrupted"
    assert not living(processes)


def test_a_second_interrupt_does_not_cut_the_clean_up_short(run):
    slow = "import signal, time\nsignal.signal(signal.SIGINT, lambda *_: (time.sleep(1.5), exit(0)))\n"
    one = run(STUBBORN_CHILD + slow + "stubborn('')\nprint('up', flush=True)\nwhile True: time.sleep(1)")
    one.wait_for("up")
    processes = one.descendants()
    for _ in range(4):
        one.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert one.report()["end"] == "interrupted"
    assert not living(processes)


def test_the_training_process_gets_a_chance_to_end_by_itself_on_an_interrupt(run):
    one = run("import time\nprint('up', flush=True)\ntry: time.sleep(300)\nexcept KeyboardInterrupt: print('saved')")
    one.wait_for("up")
    one.process.send_signal(signal.SIGINT)
    assert one.report()["end"] == "interrupted"


@pytest.mark.parametrize("pipe", ["silent", "chatty"])
def test_a_grandchild_that_holds_the_pipe_open_neither_hangs_the_run_nor_survives_it(run, pipe):
    one = run(STUBBORN_CHILD + f"stubborn({pipe!r})\nprint('up', flush=True)\ntime.sleep(0.5)")
    one.wait_for("up")
    processes = one.descendants()
    assert one.report(timeout=120)["end"] == "finished"
    assert not living(processes)


def test_a_command_killed_with_9_leaves_no_process_nor_shared_memory(run):
    segment = f"/dev/shm/psm_klear_test_{os.getpid()}"
    one = run(STUBBORN_CHILD + f"open({segment!r}, 'w')\nstubborn('')\nprint('up', flush=True)\ntime.sleep(300)")
    one.wait_for("up")
    processes = one.descendants()
    one.process.kill()
    assert not psutil.wait_procs(processes, timeout=120)[1]
    assert not os.path.exists(segment)


def test_the_next_command_waits_until_nothing_of_a_killed_one_is_left(run, tmp_path):
    one = run(STUBBORN_CHILD + "stubborn('')\nprint('up', flush=True)\ntime.sleep(300)")
    one.wait_for("up")
    processes = one.descendants()
    one.process.kill()
    RunDir(tmp_path).start(RunRecord("rl", "recipe", 0), OmegaConf.create())
    assert not living(processes)


def test_a_killed_reaper_takes_the_run_with_it(run):
    one = run(STUBBORN_CHILD + "stubborn('')\nprint('up', flush=True)\ntime.sleep(300)")
    one.wait_for("up")
    processes = one.descendants()
    (reaper,) = [process for process in processes if "klear_verl.launch.reaper" in process.cmdline()]
    reaper.kill()
    assert one.report()["what"] == "the run failed: it ended with signal SIGKILL"
    assert not living(processes)


RAYLET = """
import subprocess, sys, time
script = "import subprocess, sys, time; subprocess.Popen([sys.argv[1], '3'], executable='/bin/sleep'); time.sleep(300)"
def start(title):
    subprocess.Popen(["/ray/raylet/raylet", "-c", script, title], executable=sys.executable)
    time.sleep(4)
"""
"""Starts a process of this name below one that looks like Ray's raylet; it ends after three seconds,
long enough to be seen."""


def test_a_run_that_waits_for_a_dead_process_it_cannot_do_without_is_ended_and_the_process_named(run):
    report = run(RAYLET + "start('ray::WorkerDict')\ntime.sleep(300)").report()
    assert report["end"] == "failed"
    assert report["what"].startswith("the run failed: ray::WorkerDict (process ")
    assert "died, and the run had not ended 1 s later" in report["what"]


def test_a_run_that_ends_by_itself_after_such_a_death_says_why_itself(run):
    report = run(RAYLET + "start('ray::WorkerDict')\nraise ValueError('it is gone')").report()
    assert report["what"] == "the run failed: ValueError: it is gone"


@pytest.mark.parametrize("title", ["ray::IDLE", "/ray/raylet/raylet"], ids=["idle", "a child before its exec"])
def test_a_run_may_lose_processes_that_it_can_do_without(run, title):
    report = run(RAYLET + f"start({title!r})\ntime.sleep(2)\nprint('step:3 - train/loss:1.5')").report()
    assert (report["end"], report["step"]) == ("finished", 3)


def test_shared_memory_left_behind_is_removed_and_the_log_says_so(run):
    name = f"psm_klear_test_{os.getpid()}"
    report = run(f"open('/dev/shm/{name}', 'w').write('x')").report()
    assert not os.path.exists(f"/dev/shm/{name}")
    assert f"removed shared memory left behind: {name}" in report["log"]


def test_a_module_is_run_by_this_very_interpreter():
    assert python_module("json.tool", "a") == [sys.executable, "-m", "json.tool", "a"]


# Here, among the tests whose supervisors sweep shared memory too: they would take it from under a test that runs
# beside them, and the tests of one file never do.
def test_a_real_segment_of_a_killed_process_is_removed():
    before = processes.shared_memory_segments()
    code = (
        "import os, signal\nfrom multiprocessing import resource_tracker, shared_memory\n"
        "s = shared_memory.SharedMemory(create=True, size=64)\n"
        "resource_tracker.unregister('/' + s.name, 'shared_memory')\n"  # else Python's own tracker would remove it
        "print(s.name, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    name = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120).stdout.strip()
    assert name in processes.shared_memory_segments()
    others = processes.shared_memory_segments() - {name}
    assert processes.sweep_shared_memory(before | others) == [name]
