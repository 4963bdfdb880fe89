# SPDX-License-Identifier: Apache-2.0
"""The stages of the quickstart, each an ordinary command on an ordinary recipe, in a process of its own; and
`summary.json`: what each of them was worth, from the files that it left.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klear_verl.errors import DataError
from klear_verl.launch.run_dir import RunDir, run_versions
from klear_verl.utils.files import write_json
from klear_verl.utils.metrics import read_run_metrics

RL_STAGES = ("math_rl", "code_rl")
RUN_STAGES = ("sft", *RL_STAGES)


@dataclass(frozen=True)
class QuickstartStage:
    """One stage: its name, what it does, the `klear` arguments for (folder, seed), and the file that says it is
    done."""

    name: str
    does: str
    command: Callable[[Path, int], list[str]]
    done_file: str


def _sft(out: Path, seed: int) -> list[str]:
    return ["sft", "quickstart/sft", f"trainer.seed={seed}", f"engine.seed={seed}"]


def _rl(name: str) -> Callable[[Path, int], list[str]]:
    return lambda out, seed: ["train", f"quickstart/{name}", f"data.seed={seed}"]


def _eval(out: Path, seed: int) -> list[str]:
    return ["eval", "quickstart/eval", f"seed={seed}"]


def _report(out: Path, seed: int) -> list[str]:
    return ["report", str(out), "--out", str(out / "report.html")]


STAGES = (
    QuickstartStage("sft", "SFT on demonstrations of both tasks, half of them wrong", _sft, "sft/model"),
    QuickstartStage("math_rl", "RL with GPPO on the math task", _rl("math_rl"), "math_rl/model"),
    QuickstartStage(
        "code_rl", "RL with GPPO on the programming task, rewards from real executions", _rl("code_rl"), "code_rl/model"
    ),
    QuickstartStage("eval", "evaluation of all four checkpoints on held-out problems", _eval, "eval/result.json"),
    QuickstartStage("report", "pictures", _report, "report.html"),
)
NAMES = tuple(stage.name for stage in STAGES)


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
