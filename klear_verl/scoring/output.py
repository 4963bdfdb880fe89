# SPDX-License-Identifier: Apache-2.0
"""The output of `klear score`: results appended so that an end at any point loses no whole row, a note beside them of
the configuration that made them, and the counts that the user sees.

Unless it is to be overwritten, nothing of a file is changed before `start`, so a file that is not ours, or not of this
job, stays as it is.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from klear_verl.errors import DataError
from klear_verl.reward.score import Score
from klear_verl.utils.files import write_json
from klear_verl.utils.json_lines import append_bytes, encode_line, end_of_last_line
from klear_verl.utils.locks import lock_descriptor

_ROW_START = b'{"id": '


class ResultFile:
    """The output file, held by one process at a time. First read what an earlier run left (`earlier`), then append."""

    def __init__(self, path: Path, overwrite: bool = False):
        """
        Args:
            overwrite: empty the file.

        Raises:
            DataError: its end is no row cut short.
            EnvironmentProblem: another process writes the file.
        """
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            lock_descriptor(self._descriptor, path, "choose another --out")
            if overwrite:
                os.ftruncate(self._descriptor, 0)
            self._whole_rows_end = end_of_last_line(self._descriptor)
            if not _ROW_START.startswith(os.pread(self._descriptor, len(_ROW_START), self._whole_rows_end)):
                raise self._not_ours("its end")
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def fresh(self) -> bool:
        """Whether there is nothing to resume from."""
        return self._whole_rows_end == 0

    def earlier(self) -> Iterator[dict[str, Any]]:
        """The whole rows of an earlier run, in order.

        Raises:
            DataError: the file holds something other than results.
        """
        left, number = self._whole_rows_end, 0
        with open(self._path, "rb") as file:
            while left:
                raw = file.readline()
                left -= len(raw)
                number += 1
                yield self._result(number, raw)

    def start(self) -> None:
        """Makes ready to append: drops a last row that was cut short."""
        os.ftruncate(self._descriptor, self._whole_rows_end)

    def append(self, result: Score, row_id: str | int) -> None:
        """Writes one row, whole, under the id that the input row has.

        Raises:
            DataError: it can't be written (a full disk).
        """
        append_bytes(self._descriptor, encode_line({**result.row(), "id": row_id}), self._path)

    def close(self) -> None:
        """Makes sure that the rows are on the disk."""
        os.fsync(self._descriptor)
        os.close(self._descriptor)

    def _result(self, number: int, raw: bytes) -> dict[str, Any]:
        try:
            row = json.loads(raw)
        except (ValueError, RecursionError):
            raise self._not_ours(f"line {number}") from None
        if not isinstance(row, dict) or not {"id", "acc", "status", "verdicts"} <= row.keys():
            raise self._not_ours(f"line {number}")
        return row

    def _not_ours(self, place: str) -> DataError:
        return DataError(
            f"{self._path}, {place}: not a row that klear score wrote, so there is nothing to resume from",
            "choose another --out, or move the file away",
        )


def check_same_config(out: Path, config: dict[str, Any], fresh: bool) -> None:
    """Notes the configuration in OUT.resume for a fresh run, and compares it for a resumed one.

    Args:
        config: the reward configuration as JSON values.

    Raises:
        DataError: the earlier run had another configuration; names the keys.
    """
    note = out.with_name(out.name + ".resume")
    if fresh:
        write_json(note, config, indent=None)
    elif note.exists():
        changed = _changed_keys(_read_note(note), config, "reward")
        if changed:
            raise DataError(
                f"{out}: was begun with other values of {', '.join(changed)}",
                "resume with the same options, choose another --out, or pass --overwrite to start anew",
            )


def _read_note(note: Path) -> Any:
    try:
        return json.loads(note.read_bytes())
    except ValueError as error:
        raise DataError(
            f"{note}: not the note of a configuration: {error}", "pass --overwrite to start anew, or remove it"
        ) from error


def _changed_keys(theirs: Any, mine: Any, where: str) -> list[str]:
    if theirs == mine:
        return []
    if not isinstance(theirs, dict) or not isinstance(mine, dict):
        return [where]
    keys = dict.fromkeys([*mine, *theirs])
    return [name for key in keys for name in _changed_keys(theirs.get(key), mine.get(key), f"{where}.{key}")]


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
