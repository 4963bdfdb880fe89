# SPDX-License-Identifier: Apache-2.0
"""JSON-lines files that are appended to while the work goes on, and resumed after an interrupt.

A last line without its newline is what an end in mid-write leaves: it is no row. Knows nothing of what is in the rows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from klear_verl.errors import DataError
from klear_verl.utils.files import write_text

_CHUNK_BYTES = 1 << 16


def read_lines(path: Path, remedy: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The whole rows of a file with their line numbers, from 1, read as a stream. No file is no rows; an empty line is
    no row.

    Raises:
        DataError: a whole line that is not a JSON object; names the line, with `remedy`.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: not JSON ({error})", remedy) from error
            if not isinstance(row, dict):
                raise DataError(f"{path}:{number}: not a JSON object", remedy)
            yield number, row


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replaces a file by `rows`, all or nothing."""
    write_text(path, "".join(encode_line(row).decode("ascii") for row in rows))


def encode_line(row: Mapping[str, Any]) -> bytes:
    """One row. With ASCII escapes: a response may hold lone surrogates, which UTF-8 would not take."""
    return (json.dumps(row) + "\n").encode("ascii")


class LineWriter:
    """Appends rows. After `append` has returned, they survive the death of this process; after `close`, the machine's.

    Opening a file cuts off a half-written last line.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        os.ftruncate(self._descriptor, end_of_last_line(self._descriptor))

    def append(self, *rows: Mapping[str, Any]) -> None:
        """
        Raises:
            DataError: they can't be written (a full disk).
        """
        append_bytes(self._descriptor, b"".join(map(encode_line, rows)), self._path)

    def close(self) -> None:
        os.fsync(self._descriptor)
        os.close(self._descriptor)

    def __enter__(self) -> LineWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def append_bytes(descriptor: int, data: bytes, path: Path) -> None:
    """Writes all of `data`.

    Raises:
        DataError: it can't be written (a full disk); `path` is for the message.
    """
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError as error:
        raise DataError(f"{path}: can't be written: {error.strerror}", "make room; the same command resumes") from error


def end_of_last_line(descriptor: int) -> int:
    """The offset behind the last newline of an open file; 0 without one."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _CHUNK_BYTES)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
