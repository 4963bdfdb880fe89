# SPDX-License-Identifier: Apache-2.0
"""`summary.json`: what each stage did and what it was worth, from the files that the stages left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from klear_verl.errors import DataError
from klear_verl.launch.run_dir import RunDir, run_versions
from klear_verl.quickstart.stages import RUN_STAGES
from klear_verl.utils.files import write_json
from klear_verl.utils.metrics import read_run_metrics

REWARD, LOSS = "klear/reward", "train/loss"
CHECKPOINTS = ("before_sft", "after_sft", "after_math_rl", "after_code_rl")
ENDS = 3
"""The first and last reward of a stage are means over this many steps: one step's batch is noise."""


def stage_summary(run: Path) -> dict[str, Any]:
    """One stage's entry: reward of its first and last steps (SFT: loss), steps, wall time."""
    record = RunDir(run).previous()
    if record is None:
        raise DataError(f"{run} holds no run", "run the stage first: klear quickstart --stage NAME")
    metrics = read_run_metrics(run)
    rewards, losses = list(metrics.get(REWARD).values()), list(metrics.get(LOSS).values())
    entry: dict[str, Any] = {
        "reward_first": _mean(rewards[:ENDS]),
        "reward_last": _mean(rewards[-ENDS:]),
        "steps": len(rewards or losses),
        "wall_s": record.wall_s,
    }
    if losses:
        entry |= {"loss_first": losses[0], "loss_last": losses[-1]}
    return entry


def eval_summary(result: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """The held-out figures of each checkpoint."""
    return {
        name: {
            "math_avg_at_n": result[name]["math"]["avg_at_n"],
            "code_avg_at_n": result[name]["code"]["avg_at_n"],
            "code_pass_rate": result[name]["code"]["pass_rate"],
        }
        for name in CHECKPOINTS
    }


def write_summary(out: Path, seed: int) -> dict[str, Any]:
    """Writes `summary.json` and returns it."""
    result = json.loads((out / "eval" / "result.json").read_text(encoding="utf-8"))
    summary: dict[str, Any] = {name: stage_summary(out / name) for name in RUN_STAGES}
    summary |= {"eval": eval_summary(result), "seed": seed, "versions": run_versions()}
    write_json(out / "summary.json", summary)
    return summary


def last_line(summary: dict[str, Any], total_s: float) -> str:
    """What the quickstart says at its end."""
    held_out = summary["eval"]
    math = [held_out[name]["math_avg_at_n"] for name in CHECKPOINTS[1:3]]
    code = [held_out[name]["code_avg_at_n"] for name in CHECKPOINTS[2:]]
    rate = [held_out[name]["code_pass_rate"] for name in CHECKPOINTS[2:]]
    verdict = "both RL stages improved" if math[1] > math[0] and code[1] > code[0] else "NOT both RL stages improved"
    return (
        f"{verdict} on held-out problems: math {math[0]:.0%} -> {math[1]:.0%} (math RL), "
        f"code {code[0]:.0%} -> {code[1]:.0%}, pass rate {rate[0]:.0%} -> {rate[1]:.0%} (code RL); "
        f"{total_s:.0f} s in all"
    )


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
