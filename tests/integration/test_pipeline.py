# SPDX-License-Identifier: Apache-2.0
"""The whole pipeline for real, shortened: verl, Ray, FSDP over gloo, vLLM and the judge."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.running import running, wait_for_success

pytestmark = [pytest.mark.pipeline, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short quickstart."""
    root = tmp_path_factory.mktemp("pipeline")
    # With fewer steps of SFT no answer is ever right, no group has signal, and RL has nothing to train on.
    steps = ["--sft-steps", "150", "--rl-steps", "2"]
    command = [sys.executable, "-m", "klear_verl.cli", "quickstart", *steps, "--out", str(root / "out")]
    with running(command, root / "output") as run:
        wait_for_success(run)
        assert run.segments_left() == []
    return root / "out"


def test_every_stage_is_in_the_summary(quickstart: Path) -> None:
    summary = json.loads((quickstart / "summary.json").read_text())
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


def test_policy_loss_of_the_run_is_gppo(quickstart: Path) -> None:
    for data in _trained_steps(quickstart / "code_rl"):
        regions = [value for name, value in data.items() if name.startswith("actor/gppo/frac_")]
        assert sum(regions) == pytest.approx(1.0, abs=1e-3)  # what is missing from 1 is outside with an advantage of 0


def test_rollout_and_trainer_agree_on_log_probs(quickstart: Path) -> None:
    for data in _trained_steps(quickstart / "code_rl"):
        assert data["training/rollout_probs_diff_max"] < 1e-4


def test_code_rewards_come_from_the_judge_and_none_is_ungraded(quickstart: Path) -> None:
    rows = [json.loads(line) for line in (quickstart / "code_rl" / "metrics.jsonl").read_text().splitlines()]
    assert [row["data"]["klear/ungraded"] for row in rows] == [0.0, 0.0]
    assert [row["data"]["klear/lost_rollouts"] for row in rows] == [0.0, 0.0]


def test_report_is_one_page_without_network(quickstart: Path) -> None:
    page = (quickstart / "report.html").read_text()
    assert "<svg" in page
    assert 'src="http' not in page and 'href="http' not in page
