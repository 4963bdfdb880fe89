# SPDX-License-Identifier: Apache-2.0
"""Files that survive an interrupt: JSON lines that are only appended to, whole-file writes that are all or nothing,
one lock per folder.

It knows nothing of what is in the rows.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from klear_verl.errors import DataError, EnvironmentProblem

_REMEDY = "the file was edited or damaged: delete it to do its work again, or choose another `out`"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file that `LineWriter` wrote; no file is no rows.

    A last line without its newline is what an interrupt in mid-write leaves: it is not a row, and is cut off the file.

    Raises:
        DataError: a complete line that is not a JSON object.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    complete = content.rfind(b"\n") + 1
    if complete < len(content):
        os.truncate(path, complete)
    rows = []
    for number, line in enumerate(content[:complete].splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}:{number}: not JSON ({error})", _REMEDY) from error
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: not a JSON object", _REMEDY)
        rows.append(row)
    return rows


class LineWriter:
    """Appends rows to a JSON-lines file; after `append` returns, the rows survive the death of this process."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        # ASCII escapes: a response may contain lone surrogates or U+2028, which UTF-8 or splitlines() would not take.
        self._file.write("".join(json.dumps(row) + "\n" for row in rows).encode("ascii"))
        self._file.flush()

    def __enter__(self) -> LineWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def write_json(path: Path, value: Any) -> None:
    """Writes `value` so that a reader sees the old file or the new one, never half of it."""
    _replace(path, json.dumps(value, indent=2) + "\n")


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Replaces a JSON-lines file, all or nothing."""
    _replace(path, "".join(json.dumps(row) + "\n" for row in rows))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder` for this process; the lock goes when the process does, however it ends.

    Raises:
        EnvironmentProblem: the folder cannot be written, or another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise EnvironmentProblem(f"out={folder}: cannot be written ({error})", "choose another `out`") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EnvironmentProblem(
                f"out={folder}: another evaluation is writing there", "wait for it to end, or choose another `out`"
            ) from error
        yield
