# SPDX-License-Identifier: Apache-2.0
"""One line on standard error that says what is going on: rewritten in place on a terminal, every few seconds in a
log."""

from __future__ import annotations

import sys
import time

_TERMINAL_S = 0.2
_LOG_S = 10.0


class Progress:
    """The progress of one stretch of work, such as the samples of one model on one benchmark."""

    def __init__(self, what: str, total: int, done: int = 0):
        self._what = what
        self._total = total
        self._begun_with = self._done = done
        self._tokens = 0
        self._start = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._interval_s = _TERMINAL_S if self._terminal else _LOG_S
        self._next = self._start + self._interval_s

    def add(self, tokens: int = 0) -> None:
        """One more is done; `tokens` adds to the rate shown."""
        self._done += 1
        self._tokens += tokens
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._interval_s
            self._print(end="" if self._terminal else "\n")

    def finish(self) -> None:
        """Leaves the last state on a line of its own."""
        self._print(end="\n")

    def _print(self, end: str) -> None:
        elapsed_s = time.monotonic() - self._start
        parts = [f"{self._what}: {self._done}/{self._total}"]
        if self._begun_with:
            parts.append(f"{self._begun_with} from before")
        if self._tokens:
            parts.append(f"{self._tokens / max(elapsed_s, 1e-9):,.0f} tokens/s")
        parts.append(f"{elapsed_s:.0f} s")
        # \x1b[K clears the rest of a longer earlier line.
        sys.stderr.write(
            ("\r" if self._terminal else "") + ", ".join(parts) + ("\x1b[K" if self._terminal else "") + end
        )
        sys.stderr.flush()


def say(text: str) -> None:
    """A line about something that is not counted, such as the start of the engine."""
    print(text, file=sys.stderr, flush=True)
