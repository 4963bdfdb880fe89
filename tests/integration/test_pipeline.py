# SPDX-License-Identifier: Apache-2.0
"""The whole pipeline for real, shortened: verl, Ray, FSDP over gloo, vLLM and the judge; interrupted once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

QUICKSTART = [sys.executable, "-m", "klear_verl.cli", "quickstart", "--sft-steps", "150", "--rl-steps", "2", "--out"]
"""With fewer steps of SFT no answer is ever right, no group has signal, and RL has nothing to train on."""


def _shared_memory() -> set[str]:
    return {entry.name for entry in Path("/dev/shm").iterdir()}


def _wait_for(process: subprocess.Popen[str], log: Path, text: str, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while text not in log.read_text():
        assert process.poll() is None, f"ended before '{text}':\n{log.read_text()[-3000:]}"
        assert time.monotonic() < deadline, f"no '{text}' within {patience_s:.0f} s:\n{log.read_text()[-3000:]}"
        time.sleep(0.2)


def _is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie that its new parent has yet to reap does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Runs a short quickstart, interrupts it after the first step of math RL, and lets the same command finish."""
    root = tmp_path_factory.mktemp("pipeline")
    out, log = root / "out", root / "log"
    before = _shared_memory()
    # A checkpoint after every step, so that there is one to continue from.
    environment = {**os.environ, "KLEAR_QUICKSTART_SAVE_FREQ": "1"}
    with log.open("w") as sink:
        first = subprocess.Popen(
            [*QUICKSTART, str(out)], stdout=sink, stderr=subprocess.STDOUT, text=True, env=environment
        )
        _wait_for(first, log, "step 1/2  reward", 400)
        descendants = psutil.Process(first.pid).children(recursive=True)
        os.kill(first.pid, signal.SIGINT)
        status = first.wait(timeout=90)
    left = [process.pid for process in descendants if _is_alive(process)]
    interrupted = {
        "status": status,
        "left": left,
        "shared_memory": _shared_memory() - before,
        "record": json.loads((out / "math_rl" / "run.json").read_text()),
    }
    second = subprocess.run(
        [*QUICKSTART, str(out)], capture_output=True, text=True, timeout=1500, check=False, env=environment
    )
    return {"out": out, "interrupted": interrupted, "second": second, "shared_memory": _shared_memory() - before}


def test_ctrl_c_ends_with_130_and_leaves_nothing_but_a_resumable_run(quickstart: dict) -> None:
    interrupted = quickstart["interrupted"]
    assert interrupted["status"] == 130
    assert interrupted["left"] == []
    assert interrupted["shared_memory"] == set()
    assert interrupted["record"]["status"] == "interrupted"


def test_same_command_finishes_what_was_interrupted(quickstart: dict) -> None:
    second = quickstart["second"]
    assert second.returncode == 0, second.stdout[-2000:] + second.stderr[-3000:]
    assert "sft: finished already" in second.stdout
    assert "training from step 2 to 2" in second.stderr
    assert quickstart["shared_memory"] == set()


def test_every_stage_is_in_the_summary(quickstart: dict) -> None:
    summary = json.loads((quickstart["out"] / "summary.json").read_text())
    assert summary["sft"]["steps"] == 150
    assert summary["sft"]["loss_last"] < summary["sft"]["loss_first"]
    for stage in ("math_rl", "code_rl"):
        assert summary[stage]["steps"] == 2
        assert summary[stage]["wall_s"] > 0
        assert -1.0 <= summary[stage]["reward_last"] <= 1.0
    assert set(summary["eval"]) == {"before_sft", "after_sft", "after_math_rl", "after_code_rl"}
    assert summary["seed"] == 0
    assert summary["versions"]["verl"] == "0.9.1"


def _trained_steps(run: Path) -> list[dict[str, float]]:
    """The metrics of the steps in which some group had signal; at least one has to."""
    rows = [json.loads(line)["data"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    trained = [row for row in rows if not row["klear/skipped_steps"]]
    assert trained
    return trained


def test_policy_loss_of_the_run_is_gppo(quickstart: dict) -> None:
    for data in _trained_steps(quickstart["out"] / "code_rl"):
        regions = [value for name, value in data.items() if name.startswith("actor/gppo/frac_")]
        assert sum(regions) == pytest.approx(1.0, abs=1e-3)  # what is missing from 1 is outside with an advantage of 0


def test_rollout_and_trainer_agree_on_log_probs(quickstart: dict) -> None:
    for data in _trained_steps(quickstart["out"] / "code_rl"):
        assert data["training/rollout_probs_diff_max"] < 1e-4


def test_code_rewards_come_from_the_judge_and_none_is_ungraded(quickstart: dict) -> None:
    rows = [json.loads(line) for line in (quickstart["out"] / "code_rl" / "metrics.jsonl").read_text().splitlines()]
    assert [row["data"]["klear/ungraded"] for row in rows] == [0.0, 0.0]
    assert [row["data"]["klear/lost_rollouts"] for row in rows] == [0.0, 0.0]


def test_report_is_one_page_without_network(quickstart: dict) -> None:
    page = (quickstart["out"] / "report.html").read_text()
    assert "<svg" in page
    assert 'src="http' not in page and 'href="http' not in page
