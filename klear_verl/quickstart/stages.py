# SPDX-License-Identifier: Apache-2.0
"""The stages of the quickstart: each an ordinary command on an ordinary recipe, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
