# SPDX-License-Identifier: Apache-2.0
"""The one line that says what a command is doing: rewritten in place on a terminal, a line now and then in a log.

It shows phases ("loading the model") and counted work ("12/64, 3.1 sample/s, 00:17 left"). What a training run prints
is read by `launch.progress`.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self, TextIO

from tqdm import tqdm

MARK = "@klear-phase:"
TERMINAL_EVERY_S = 0.2
LOG_EVERY_S = 5.0
"""Without a terminal, counted work is shown at most this often; phases always."""


def announce(phase: str) -> None:
    """Says, from any process of a run, what the run is doing now; `klear train` shows it on its line."""
    print(f"{MARK} {phase}", flush=True)


def say(text: str) -> None:
    """A line for a person, on standard error."""
    print(text, file=sys.stderr, flush=True)


@dataclass
class ProgressLine:
    """The progress of one command, or of one stretch of its work.

    `total` and `done` count `unit`s; `describe` adds to the count, and is called only when the line is shown.
    """

    label: str
    total: int | None = None
    done: int = 0
    unit: str = "it"
    describe: Callable[[], str] = lambda: ""
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    enabled: bool = True

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self._begun_with = self.done
        self._text = ""
        self._shown_at = -LOG_EVERY_S
        self._shown_complete = False

    def phase(self, text: str) -> None:
        """Shows what goes on now."""
        self._show(text)

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self.done += count
        self._show_if_due(self._counted)

    @property
    def elapsed_s(self) -> float:
        """Since it was made."""
        return time.monotonic() - self.started

    def tick(self) -> None:
        """Refreshes the elapsed time on a terminal."""
        if self._text and self.stream.isatty():
            self._show(self._text)

    def say(self, message: str) -> None:
        """A message above the line. It is shown even where the line is not enabled."""
        self.stream.write(f"\r\x1b[2K{message}\n" if self.stream.isatty() else f"{message}\n")
        self.tick()
        self.stream.flush()

    def close(self, text: str | None = None) -> None:
        """The last line, by default that of the count: it stays."""
        if text is not None or not self._shown_complete:
            self._show(self._counted() if text is None else text)
        if self.enabled and self.stream.isatty():
            self.stream.write("\n")
        self.stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _show_if_due(self, text: Callable[[], str]) -> None:
        every_s = TERMINAL_EVERY_S if self.stream.isatty() else LOG_EVERY_S
        complete = self.total is not None and self.done >= self.total
        self._shown_complete = complete
        if complete or time.monotonic() - self._shown_at >= every_s:
            self._shown_at = time.monotonic()
            self._show(text())

    def _counted(self) -> str:
        text = self.describe()
        return tqdm.format_meter(
            self.done,
            self.total,
            self.elapsed_s,
            initial=self._begun_with,
            unit=self.unit,
            bar_format="{n_fmt}/{total_fmt}, {rate_fmt}, {remaining} left{postfix}",
            postfix=text,
        )

    def _show(self, text: str) -> None:
        self._text = text
        if not self.enabled:
            return
        elapsed = int(self.elapsed_s)
        line = f"[{self.label} {elapsed // 60}:{elapsed % 60:02d}] {text}"
        width = shutil.get_terminal_size(fallback=(200, 24)).columns
        self.stream.write(f"\r\x1b[2K{line[: width - 1]}" if self.stream.isatty() else f"{line}\n")
        self.stream.flush()
