# SPDX-License-Identifier: Apache-2.0
"""Running a grid: nothing twice, nothing lost. Every run here is a real process; it only learns nothing."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from klear_verl.ablation.ablate_cli import main, run_grid
from klear_verl.errors import DataError, EnvironmentProblem
from klear_verl.utils.locks import FolderLock
from tests.ablation.ablation_samples import calls, sample_arm, sample_arms, sample_spec, train_command

X0, Y0, X1, Y1 = (f"{name}-seed{seed}" for seed in (0, 1) for name in ("x-1111111111", "y-2222222222"))


@pytest.fixture
def grid(tmp_path):
    """Runs a grid with the stand-in for training; returns the exit status."""
    command = train_command(tmp_path)

    def run(spec=None, arms=None, jobs=1):
        return run_grid(spec or sample_spec(), arms or sample_arms(), tmp_path / "out", jobs, command)

    (tmp_path / "out").mkdir()
    return run


def statuses(out, name="sample"):
    arms = json.loads((out / "ablation.json").read_text())["ablations"][name]["arms"]
    return {Path(run["dir"]).name: run["status"] for arm in arms.values() for run in arm["runs"].values()}


def test_every_arm_is_run_with_every_seed_in_a_directory_of_its_own(grid, tmp_path, capsys, monkeypatch):
    assert grid() == 0
    assert calls(tmp_path / "out") == [X0, Y0, X1, Y1]
    assert statuses(tmp_path / "out") == dict.fromkeys([X0, Y0, X1, Y1], "finished")
    shown = capsys.readouterr()
    assert "4 of 4 runs finished" in shown.out
    assert "3/4 x seed 1: step 1/2  reward +0.5" in shown.err


def test_the_record_has_the_spec_and_directories_that_survive_a_move(grid, tmp_path):
    grid()
    entry = json.loads((tmp_path / "out" / "ablation.json").read_text())["ablations"]["sample"]
    assert entry["spec"]["seeds"] == [0, 1] and entry["spec"]["title"] == "A sample"
    assert entry["arms"]["y"]["runs"]["1"] == {"dir": f"runs/{Y1}", "status": "finished", "detail": None}
    assert str(tmp_path) not in json.dumps(entry)


def test_finished_runs_are_not_run_again(grid, tmp_path):
    grid()
    assert grid() == 0
    assert len(calls(tmp_path / "out")) == 4


def test_another_seed_costs_only_its_own_runs(grid, tmp_path):
    grid(sample_spec(seeds=[0]))
    assert grid(sample_spec(seeds=[0, 1])) == 0
    assert calls(tmp_path / "out") == [X0, Y0, X1, Y1]


def test_a_run_that_two_specs_have_in_common_is_run_once_and_stands_in_both(grid, tmp_path):
    grid()
    other = sample_spec(name="other", arms={"theirs": {}, "z": {}})
    assert grid(other, [sample_arm("theirs", "2222222222"), sample_arm("z", "3333333333")]) == 0
    out = tmp_path / "out"
    assert calls(out)[4:] == ["z-3333333333-seed0", "z-3333333333-seed1"]
    assert statuses(out, "other")[Y0] == statuses(out)[Y0] == "finished"


def test_a_failed_run_stops_no_other_and_is_told_with_its_reason(grid, tmp_path, capsys):
    (tmp_path / "out" / f"{Y0}.fails").touch()
    assert grid() == 1
    assert statuses(tmp_path / "out") == {X0: "finished", Y0: "failed", X1: "finished", Y1: "finished"}
    shown = capsys.readouterr().out
    assert "y seed 0 failed: the run failed: MemoryError: no room\n  remedy: make room" in shown
    assert "3 of 4 runs finished; the same command tries the others again" in shown


def test_a_failed_run_is_tried_again_by_the_next_call(grid, tmp_path):
    (tmp_path / "out" / f"{Y0}.fails").touch()
    grid()
    (tmp_path / "out" / f"{Y0}.fails").unlink()
    assert grid() == 0
    assert calls(tmp_path / "out")[4:] == [Y0]
    assert statuses(tmp_path / "out")[Y0] == "finished"


def test_several_jobs_run_at_the_same_time(grid, tmp_path):
    (tmp_path / "out" / "in_pairs").touch()  # a run that starts alone waits for another, and fails in vain
    assert grid(jobs=2) == 0


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def started(out):
    return (out / "calls.txt").is_file() and calls(out)


@pytest.fixture
def lasting(tmp_path):
    """A grid in a process of its own, at work on its first run, which lasts a minute."""
    out = tmp_path / "out"
    out.mkdir()
    (out / f"{X0}.lasts").touch()
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from pathlib import Path\n"
        "from tests.ablation.ablation_samples import sample_arms, sample_spec, train_command\n"
        "from klear_verl.ablation.ablate_cli import run_grid\n"
        f"place = Path({str(tmp_path)!r})\n"
        "sys.exit(run_grid(sample_spec(), sample_arms(), place / 'out', 1, train_command(place)))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: started(out))
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_run_and_begins_no_other(lasting, tmp_path, number):
    lasting.send_signal(number)
    _, errors = lasting.communicate(timeout=120)
    assert lasting.returncode == 130
    assert "interrupted; the same command continues" in errors
    assert calls(tmp_path / "out") == [X0]
    assert statuses(tmp_path / "out") == {X0: "interrupted", Y0: "waiting", X1: "waiting", Y1: "waiting"}


def test_after_an_interruption_the_same_call_goes_on_in_the_same_directory(lasting, tmp_path):
    lasting.send_signal(signal.SIGINT)
    lasting.wait(timeout=120)
    (tmp_path / "out" / f"{X0}.lasts").unlink()
    assert run_grid(sample_spec(), sample_arms(), tmp_path / "out", 1, train_command(tmp_path)) == 0
    assert calls(tmp_path / "out") == [X0, X0, Y0, X1, Y1]


def test_after_a_kill_the_record_is_whole_and_the_same_call_goes_on(lasting, tmp_path):
    wait_for((tmp_path / "out" / "ablation.json").is_file)
    (child,) = psutil.Process(lasting.pid).children()
    lasting.kill()
    lasting.wait()
    child.kill()
    assert statuses(tmp_path / "out")[X0] == "running"
    (tmp_path / "out" / f"{X0}.lasts").unlink()
    assert run_grid(sample_spec(), sample_arms(), tmp_path / "out", 1, train_command(tmp_path)) == 0


def test_a_second_call_in_the_same_place_is_refused_while_the_first_is_at_work(lasting, tmp_path):
    with pytest.raises(EnvironmentProblem, match="another process is at work"):
        FolderLock(tmp_path / "out", "choose another --out")


def test_a_damaged_record_is_named(grid, tmp_path):
    (tmp_path / "out" / "ablation.json").write_text("{}")
    with pytest.raises(DataError, match=r"ablation\.json is not a record of ablations"):
        grid()


def test_a_dry_run_lists_the_runs_and_touches_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KLEAR_QUICKSTART", str(tmp_path / "nowhere"))
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    assert main(["reward_shape", "--out", str(tmp_path / "out"), "--dry-run"]) == 2
    shown = capsys.readouterr()
    assert "2 arms x 3 seeds" in shown.out and "hard" in shown.out
    assert "run first: klear quickstart --stage sft" in shown.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("jobs", ["0", "-1", "many"])
def test_a_senseless_number_of_jobs_is_refused(jobs, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["policy_loss", "--jobs", jobs])
    assert "--jobs" in capsys.readouterr().err
