# SPDX-License-Identifier: Apache-2.0
"""The progress line of a run: announcements from inside the run, and what verl's console logger prints per step, read
from its output."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass, field

MARK = "@klear-phase:"
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

QUIET_S = 5.0
"""Without a terminal, steps are shown at most this often."""


def announce(phase: str) -> None:
    """Says, from any process of a run, what the run is doing now."""
    print(f"{MARK} {phase}", flush=True)


@dataclass
class ProgressLine:
    """One line for a person: rewritten in place on a terminal, one line per change elsewhere."""

    label: str
    total_steps: int | None
    step: int = 0
    started: float = field(default_factory=time.monotonic)
    stream = sys.stderr
    _text: str = ""
    _shown_at: float = -QUIET_S

    def phase(self, text: str) -> None:
        """Shows a phase without a step number."""
        self._show(text)

    def feed(self, line: str) -> None:
        """Takes one line of the run's output and shows what it says of the progress, if it does."""
        if MARK in line:
            self._show(line.split(MARK, 1)[1].strip())
        elif match := _STEP.search(line):
            values = {name: float(value) for name, value in _PAIR.findall(match[2])}
            self.step = max(self.step, int(match[1]))
            if shown := describe(values):
                total = f"/{self.total_steps}" if self.total_steps else ""
                self._show_step(f"step {match[1]}{total}  {shown}")

    def tick(self) -> None:
        """Refreshes the elapsed time on a terminal."""
        if self._text and self.stream.isatty():
            self._show(self._text)

    def close(self, text: str) -> None:
        """The last line: it stays."""
        self._show(text)
        if self.stream.isatty():
            self.stream.write("\n")
        self.stream.flush()

    def _show_step(self, text: str) -> None:
        last = self.total_steps is not None and self.step >= self.total_steps
        if self.stream.isatty() or last or time.monotonic() - self._shown_at >= QUIET_S:
            self._shown_at = time.monotonic()
            self._show(text)

    def _show(self, text: str) -> None:
        self._text = text
        elapsed = int(time.monotonic() - self.started)
        line = f"[{self.label} {elapsed // 60}:{elapsed % 60:02d}] {text}"
        self.stream.write(f"\r\x1b[2K{line[:200]}" if self.stream.isatty() else f"{line}\n")
        self.stream.flush()


def describe(values: dict[str, float]) -> str:
    """The metrics of one step, as the line shows them."""
    parts: dict[str, str] = {}
    for name, label, form in SHOWN:
        if name in values and label not in parts and not (name in ONLY_IF_ANY and values[name] == 0):
            parts[label] = f"{label} {form.format(values[name])}"
    return "  ".join(parts.values())
