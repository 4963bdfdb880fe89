# SPDX-License-Identifier: Apache-2.0
"""What `klear score` tells while it works and when it is done: counts of rows and of tests, the rate, bad rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class ScoreSummary:
    """What became of the rows: `scored` (graded and malformed), `ungraded`, `bad`; `correct` and `malformed` are
    among the scored ones. `verdicts` counts tests."""

    rows: int = 0
    resumed: int = 0
    scored: int = 0
    correct: int = 0
    malformed: int = 0
    ungraded: int = 0
    bad: int = 0
    stopped: bool = False
    verdicts: Counter[str] = field(default_factory=Counter)

    @property
    def complete(self) -> bool:
        """Whether every row was scored."""
        return self.scored == self.rows and not self.stopped

    def add(self, acc: bool | None, status: str, verdicts: Iterable[str]) -> None:
        """Counts one output row."""
        self.scored += status != "ungraded"
        self.ungraded += status == "ungraded"
        self.malformed += status == "malformed"
        self.correct += acc is True
        self.verdicts.update(verdicts)

    def line(self) -> str:
        """The last line that a user sees."""
        parts = [f"{self.scored} of {self.rows} rows scored", f"{self.correct} correct"]
        parts += [f"{n} {name}" for name, n in (("malformed", self.malformed), ("ungraded", self.ungraded)) if n]
        parts += [f"{self.bad} bad"] * bool(self.bad) + [f"{self.resumed} from an earlier run"] * bool(self.resumed)
        stopped = " (stopped at the first bad row)" if self.stopped else ""
        tests = f"; {self.verdicts.total()} tests: {self.verdict_shares()}" if self.verdicts else ""
        return ", ".join(parts) + stopped + tests

    def verdict_shares(self) -> str:
        """The share of each verdict among the tests, the most frequent first."""
        total = self.verdicts.total()
        return " ".join(f"{name} {_percent(count / total)}" for name, count in self.verdicts.most_common())

    def shares(self) -> str:
        """Shares of the rows so far, and of the tests."""
        seen = max(1, self.scored + self.ungraded + self.bad)
        counts = {"malformed": self.malformed, "ungraded": self.ungraded, "bad": self.bad}
        parts = [f"correct {_percent(self.correct / seen)}"]
        parts += [f"{name} {_percent(count / seen)}" for name, count in counts.items() if count]
        return ", ".join(parts) + (f"; tests {self.verdict_shares()}" if self.verdicts else "")


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"
