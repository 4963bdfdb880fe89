# SPDX-License-Identifier: Apache-2.0
"""A training run's progress line: announcements from inside the run, and what verl's console logger prints per step,
read from its output."""

from __future__ import annotations

import re
from dataclasses import dataclass

from klear_verl.utils.progress import MARK, ProgressLine

_STEP = re.compile(r"step:(\d{1,12}) - (.*)")
_PAIR = re.compile(r"([^\s:]+):(?:np\.float\d+\()?(-?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?|nan|-?inf)")
SHOWN = (
    ("klear/reward", "reward", "{:+.3f}"),
    ("critic/score/mean", "reward", "{:+.3f}"),
    ("klear/acc", "acc", "{:.3f}"),
    ("klear/pass_rate", "pass rate", "{:.3f}"),
    ("klear/ungraded", "UNGRADED", "{:.0f}"),
    ("klear/groups/trained", "groups", "{:.0f}"),
    ("klear/skipped_steps", "NO SIGNAL", "{:.0f}"),
    ("train/loss", "loss", "{:.4f}"),
    ("val/loss", "held-out loss", "{:.4f}"),
    ("klear/response_tokens", "tokens", "{:.0f}"),
    ("response_length/mean", "tokens", "{:.0f}"),
    ("actor/grad_norm", "grad norm", "{:.3f}"),
    ("timing_s/step", "s/step", "{:.1f}"),
)
"""Metric, label and format of what the line shows, where the step has it; of two with one label, the first."""

ONLY_IF_ANY = ("klear/ungraded", "klear/skipped_steps")


@dataclass
class RunProgress(ProgressLine):
    """The line of one training run; `total` counts its steps, `done` is the last step it reported."""

    def feed(self, line: str) -> None:
        """Takes one line of the run's output and shows what it says of the progress, if it does."""
        if MARK in line:
            self.phase(line.split(MARK, 1)[1].strip())
        elif match := _STEP.search(line):
            values = {name: float(value) for name, value in _PAIR.findall(match[2])}
            self.done = max(self.done, int(match[1]))
            if shown := metrics_text(values):
                total = f"/{self.total}" if self.total else ""
                self._show_if_due(lambda: f"step {match[1]}{total}  {shown}")


def metrics_text(values: dict[str, float]) -> str:
    """The metrics of one step, as the line shows them."""
    parts: dict[str, str] = {}
    for name, label, form in SHOWN:
        if name in values and label not in parts and not (name in ONLY_IF_ANY and values[name] == 0):
            parts[label] = f"{label} {form.format(values[name])}"
    return "  ".join(parts.values())
