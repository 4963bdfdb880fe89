# SPDX-License-Identifier: Apache-2.0
"""The rows that `klear score` reads, one at a time: only their ids stay in memory.

A bad input row (not JSON, a key missing or ill-typed, an id seen before) becomes a BadRow, never an exception: the
caller decides. An unreadable file as a whole is an exception.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from klear_verl.errors import DataError
from klear_verl.reward.score import ScoreRequest

REQUIRED_KEYS = ("id", "data_source", "response", "ground_truth")
MAX_LINE_BYTES = 512 << 20


@dataclass(frozen=True)
class InputRow:
    """A row to score, its line number, from 1, its size, and its id as the file has it (text or integer)."""

    line: int
    size_bytes: int
    id: str | int
    request: ScoreRequest


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be scored, and why."""

    line: int
    reason: str


def count_rows(path: Path) -> int:
    """The number of non-blank lines.

    Raises:
        DataError: the file is missing, not a file, or has no rows.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", "give the path of a JSON Lines file with the rows to score")
    with path.open("rb") as file:
        rows = sum(1 for _ in _lines(file))
    if rows == 0:
        raise DataError(
            f"{path}: the file has no rows", f"write one JSON object per line, with {', '.join(REQUIRED_KEYS)}"
        )
    return rows


def read_rows(path: Path) -> Iterator[InputRow | BadRow]:
    """The rows of a JSON Lines file in order; blank lines are skipped."""
    first_line: dict[str, int] = {}
    with path.open("rb") as file:
        for number, raw in _lines(file):
            if len(raw) > MAX_LINE_BYTES:
                yield BadRow(number, f"longer than {MAX_LINE_BYTES >> 20} MiB")
                continue
            row = _parse(number, raw)
            if isinstance(row, InputRow):
                earlier = first_line.setdefault(row.request.id, number)
                if earlier != number:
                    row = BadRow(number, f"id '{row.request.id}' is already that of line {earlier}; ids must be unique")
            yield row


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Non-blank lines and their numbers. Of a line longer than MAX_LINE_BYTES there is one byte more than that."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        rest = raw
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE_BYTES + 1)
        if raw.strip():
            yield number, raw


def _parse(number: int, raw: bytes) -> InputRow | BadRow:
    try:
        row: Any = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return BadRow(number, f"not UTF-8 (byte {error.start} of the line); convert the file to UTF-8")
    except ValueError as error:  # int() of a huge literal is a plain ValueError
        return BadRow(number, f"not JSON: {error}")
    except RecursionError:
        return BadRow(number, "not JSON that can be read: nested too deeply")
    if not isinstance(row, dict):
        return BadRow(number, f"a JSON object is needed, not {type(row).__name__}")
    missing = [key for key in REQUIRED_KEYS if row.get(key) is None]
    if missing:
        return BadRow(number, f"lacks {', '.join(missing)} (it has: {', '.join(map(str, row)) or 'nothing'})")
    if isinstance(row["id"], bool) or not isinstance(row["id"], (str, int)):
        return BadRow(number, f"id must be text or an integer, not {row['id']!r:.80}")
    for key in ("data_source", "response"):
        if not isinstance(row[key], str):
            return BadRow(number, f"{key} must be text, not {type(row[key]).__name__}")
    extra = row.get("extra_info")
    if extra is not None and not isinstance(extra, dict):
        return BadRow(number, f"extra_info must be an object, not {type(extra).__name__}")
    request = ScoreRequest(str(row["id"]), row["data_source"], row["response"], row["ground_truth"], extra or {})
    return InputRow(number, len(raw), row["id"], request)
