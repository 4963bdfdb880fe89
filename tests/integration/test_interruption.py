# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C during `klear quickstart`: it ends cleanly, and the same command goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from kill_bench.marked import MarkedCommand

from klear_verl.utils.metrics import read_run_metrics
from tests.running import running, wait_while_progressing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def interrupted_at(run: MarkedCommand, text: str, run_dir: Path) -> None:
    """Interrupts the command once it shows `text`; it must end with 130 and leave nothing but a run to resume."""
    wait_while_progressing(run, until=lambda: text in run.output)
    run.mapped_segments()
    os.kill(run.process.pid, signal.SIGINT)
    assert run.process.wait(timeout=300) == 130
    assert run.processes() == []
    assert run.segments_left() == []
    assert json.loads((run_dir / "run.json").read_text())["status"] == "interrupted"


def test_ctrl_c_leaves_nothing_but_a_resumable_run_which_the_same_command_continues(tmp_path: Path) -> None:
    out = tmp_path / "out"
    # With fewer steps of SFT no answer is ever right, no group has signal, and RL has nothing to train on.
    steps = ["--sft-steps", "150", "--rl-steps", "2"]
    command = [sys.executable, "-m", "klear_verl.cli", "quickstart", *steps, "--out", str(out)]
    # A checkpoint after every step, so that there is one to continue from.
    with running(command, tmp_path / "first", KLEAR_QUICKSTART_SAVE_FREQ="1") as first:
        interrupted_at(first, "step 1/2  reward", out / "math_rl")
    with running(command, tmp_path / "second", KLEAR_QUICKSTART_SAVE_FREQ="1") as second:
        # As early as can be in the next stage; what comes after it is in test_pipeline.py.
        interrupted_at(second, "[code_rl 0:00] starting", out / "code_rl")
        assert "sft: finished already" in second.output
        assert "training from step 2 to 2" in second.output
    assert list(read_run_metrics(out / "math_rl").get("klear/reward")) == [1, 2]
    assert json.loads((out / "math_rl" / "run.json").read_text())["status"] == "finished"
