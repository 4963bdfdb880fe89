# SPDX-License-Identifier: Apache-2.0
"""A run's `metrics.jsonl` (verl's `file` logger), and those of its earlier attempts, as one series per metric.

Understands what a resumed or running job leaves behind: a half-written last line, steps logged twice, and steps of an
attempt that was thrown away. Does not interpret any metric.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from klear_verl.errors import DataError

METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True)
class Metrics:
    """Values by metric name and step, steps ascending. A value that verl logged as NaN is absent, not 0."""

    by_name: dict[str, dict[int, float]] = field(default_factory=dict)

    def get(self, *names: str) -> dict[int, float]:
        """Step → value of the first of `names` that was logged; empty if none was."""
        return next((self.by_name[name] for name in names if self.by_name.get(name)), {})

    def with_prefix(self, prefix: str) -> dict[str, dict[int, float]]:
        """The metrics whose name starts with `prefix`, keyed by the rest of the name."""
        return {name[len(prefix) :]: values for name, values in self.by_name.items() if name.startswith(prefix)}

    @property
    def last_step(self) -> int:
        """The last step logged; 0 if none was."""
        return max((max(values) for values in self.by_name.values() if values), default=0)


def attempt_files(run_dir: Path) -> list[Path]:
    """The metrics of a run's attempts, oldest first: metrics.1.jsonl, metrics.2.jsonl, … and the latest's."""
    earlier = {int(path.suffixes[0][1:]): path for path in run_dir.glob("metrics.*.jsonl") if _is_numbered(path)}
    latest = run_dir / METRICS_FILE
    return [*(earlier[number] for number in sorted(earlier)), *([latest] if latest.is_file() else [])]


def put_aside(run_dir: Path) -> None:
    """Numbers the metrics of the attempt that has ended, before the next one's logger truncates the file."""
    latest = run_dir / METRICS_FILE
    if latest.is_file():
        taken = [int(path.suffixes[0][1:]) for path in attempt_files(run_dir) if path != latest]
        latest.rename(run_dir / f"metrics.{max(taken, default=0) + 1}.jsonl")


def read_run_metrics(run_dir: Path) -> Metrics:
    """The metrics of a run over all its attempts; see `read_metrics`."""
    return read_metrics(*attempt_files(run_dir))


def read_metrics(*paths: Path) -> Metrics:
    """Reads the files of a run's attempts, oldest first, one `{"step": int, "data": {metric: number}}` per line.

    Where steps go backwards, a run was resumed from step s: what had been logged after s belongs to the abandoned
    attempt and is dropped. At one step, the last value of each metric wins.

    Raises:
        DataError: unreadable file; a malformed line that is not its file's last (which may be half-written).
    """
    steps: dict[int, dict[str, float]] = {}
    previous = None
    for step, data in (row for path in paths for row in _rows(path)):
        if previous is not None and step < previous:
            for abandoned in [known for known in steps if known > step]:
                del steps[abandoned]
        previous = step
        steps.setdefault(step, {}).update(data)
    by_name: dict[str, dict[int, float]] = {}
    for step in sorted(steps):
        for name, value in steps[step].items():
            by_name.setdefault(name, {})[step] = value
    return Metrics(by_name)


def _is_numbered(path: Path) -> bool:
    return path.suffixes[0][1:].isdecimal()


def _rows(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", "check the file's permissions") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _parse(line)
        if row is not None:
            yield row
        elif number < len(lines):  # after the last newline, a writer was interrupted or is writing now
            raise DataError(
                f'{path}:{number}: not a {{"step": …, "data": {{…}}}} row: {line[:80].decode("utf-8", "replace")}',
                "delete this line; the rest of the file is kept",
            )


def _parse(line: bytes) -> tuple[int, dict[str, float]] | None:
    try:
        row: Any = json.loads(line)
    except ValueError:  # bad JSON or bad UTF-8: the caller says which line
        return None
    if not isinstance(row, dict) or not isinstance(row.get("step"), int) or not isinstance(row.get("data"), dict):
        return None
    numbers = {name: float(value) for name, value in row["data"].items() if isinstance(value, int | float)}
    return row["step"], {name: value for name, value in numbers.items() if math.isfinite(value)}
