# SPDX-License-Identifier: Apache-2.0
"""The one reader of data files: Parquet, JSON arrays and JSON Lines, row by row, each with its place.

Every command that reads rows reads them here, so that all of them count alike and refuse the same rows. Rows of
Parquet and of a JSON array are counted from 0 and lines of text from 1, and a message says which: "rows.parquet, row
17 (from 0)", "rows.jsonl, line 18". A row that cannot be read comes as the DataError that says why, so that a caller
may go on behind it (`good_row` raises it instead); a file that cannot be read is raised. What a row must hold is the
subject of schemas.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from klear_verl.errors import DataError
from klear_verl.utils.config import closest

SUFFIXES = (".parquet", ".json", ".jsonl")
MAX_LINE_BYTES = 512 << 20
_BATCH_ROWS = 128  # the tests of one code row can be megabytes
_UTF8_MARK = b"\xef\xbb\xbf"
_COLUMNS_REMEDY = "docs/data_formats.md lists the columns; or set the option that names the column"


@dataclass(frozen=True, slots=True)
class Row:
    """A row that could be read.

    `number` counts from 0 where `unit` is "row", from 1 where it is "line". `size_bytes` is about what the row takes in
    memory. `through_arrow`: Arrow read it, which gives an object the keys of all other rows' objects, as nulls.
    """

    file: Path
    unit: Literal["row", "line"]
    number: int
    values: dict[str, Any]
    size_bytes: int
    through_arrow: bool = False

    @property
    def where(self) -> str:
        """File and row, as every message begins."""
        return f"{self.file}, {place(self.unit, self.number)}"


def place(unit: str, number: int) -> str:
    """Where a row is in its file: "row 17 (from 0)", "line 18"."""
    return f"row {number} (from 0)" if unit == "row" else f"line {number}"


def is_remote(path: str) -> bool:
    """True for a path that verl fetches itself (hdfs://…): nothing can be checked before the start."""
    return "://" in path


def check_file(path: str | os.PathLike[str], key: str, suffixes: Sequence[str] = SUFFIXES) -> Path:
    """The file exists, can be read, is not empty and has one of the suffixes.

    Args:
        path: as the user gave it; `~` is the home folder.
        key: the option that it comes from, for the message.

    Raises:
        DataError: names the option and the file.
    """
    file = Path(os.path.expanduser(path))
    if not file.exists():
        raise DataError(f"{key}: {path} does not exist{_similar_file(file)}", f"correct {key}, or make the file")
    if not file.is_file():
        raise DataError(f"{key}: {path} is a folder or a device, not a file", f"give {key} the files in it, by name")
    if not os.access(file, os.R_OK):
        raise DataError(f"{key}: {path} cannot be read", "give yourself the permission to read it")
    if file.suffix not in suffixes:
        raise DataError(f"{key}: {path} is none of {', '.join(suffixes)}", f"convert it to {suffixes[0]}")
    if file.stat().st_size == 0:
        raise DataError(f"{key}: {path} is empty (0 bytes)", "make the file anew")
    return file


def read_rows(
    file: Path, columns: Iterable[str] = (), optional: Iterable[str] | None = None
) -> Iterator[Row | DataError]:
    """The rows of a file in order, and in its place a DataError for each that cannot be read.

    The suffix decides how it is read: .parquet; .json, which may be one array or JSON Lines; anything else is JSON
    Lines. Blank lines are no rows.

    Args:
        columns: columns that every row must have.
        optional: of Parquet, the further columns to read where the file has them; None reads all of them.

    Raises:
        DataError: the file as a whole cannot be read, lacks a column, or has no rows.
    """
    required = list(columns)
    if file.suffix == ".parquet":
        rows = _parquet_rows(file, required, None if optional is None else list(optional))
    else:
        rows = _checked_keys(_array_rows(file) if _is_array(file) else _line_rows(file), required)
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise DataError(f"{file} has no rows", "make the file anew, with one JSON object per line, or as Parquet")


def good_row(row: Row | DataError) -> Row:
    """The row, where every row must be good.

    Raises:
        DataError: it could not be read.
    """
    if isinstance(row, DataError):
        raise row
    return row


def count_rows(file: Path) -> int:
    """How many rows `read_rows` will give, good and bad ones; only a JSON array is parsed for it.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    if file.suffix == ".parquet":
        with _parquet_file(file) as parquet:
            return int(parquet.metadata.num_rows)
    if _is_array(file):
        return sum(1 for _ in _array_rows(file))
    with file.open("rb") as opened:
        return sum(1 for _ in _lines(opened))


@contextmanager
def _parquet_file(file: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            yield parquet
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{file} is not a readable Parquet file: {error}", "make the file anew, or copy it again"
        ) from error


def _parquet_rows(file: Path, required: list[str], optional: list[str] | None) -> Iterator[Row | DataError]:
    number = 0
    with _parquet_file(file) as parquet:
        present = parquet.schema_arrow.names
        if any(name not in present for name in required):
            raise _missing_key(str(file), required, present)
        wanted = [name for name in present if optional is None or name in required or name in optional]
        for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
            size_bytes = batch.nbytes // max(1, batch.num_rows)
            for values in _batch_rows(batch):
                if isinstance(values, UnicodeDecodeError):
                    where = f"{file}, {place('row', number)}"
                    yield DataError(f"{where}: not UTF-8", "write the text columns anew, in UTF-8")
                else:
                    yield Row(file, "row", number, values, size_bytes, through_arrow=True)
                number += 1


def _batch_rows(batch: Any) -> Iterator[dict[str, Any] | UnicodeDecodeError]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError as error:  # raised before the first of its rows is there
        if batch.num_rows == 1:
            yield error
            return
        for index in range(batch.num_rows):
            yield from _batch_rows(batch.slice(index, 1))


def _array_rows(file: Path) -> Iterator[Row | DataError]:
    raw = file.read_bytes()
    rows = _parse(raw, str(file), "correct the file: an array of JSON objects")
    if isinstance(rows, DataError):
        raise rows
    for number, values in enumerate(rows):
        yield _as_row(file, "row", number, values, len(raw) // len(rows))


def _line_rows(file: Path) -> Iterator[Row | DataError]:
    with file.open("rb") as opened:
        for number, raw in _lines(opened):
            where = f"{file}, {place('line', number)}"
            if len(raw) > MAX_LINE_BYTES:
                yield DataError(f"{where}: longer than {MAX_LINE_BYTES >> 20} MiB", "split or drop the row")
                continue
            remedy = "one JSON object per line; the name of a JSON array's file ends in .json"
            values = _parse(raw.rstrip(b"\r\n"), where, remedy)
            yield values if isinstance(values, DataError) else _as_row(file, "line", number, values, len(raw))


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


def _parse(raw: bytes, where: str, remedy: str) -> Any:
    """The JSON value, or the DataError that says why it is none."""
    if raw.startswith(_UTF8_MARK):
        return DataError(f"{where}: starts with a byte order mark", "save the file as UTF-8 without one")
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return DataError(f"{where}: not UTF-8 (byte {error.start})", "convert the file to UTF-8")
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if b"\n" in raw else ""  # of an array
        return DataError(f"{where}: not JSON: {error.msg} ({line}column {error.colno})", remedy)
    except ValueError as error:  # NaN, or int() of a huge literal
        return DataError(f"{where}: not JSON: {error}", remedy)
    except RecursionError:
        return DataError(f"{where}: not JSON that can be read: nested too deeply", remedy)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _as_row(file: Path, unit: Literal["row", "line"], number: int, values: Any, size_bytes: int) -> Row | DataError:
    if not isinstance(values, dict):
        where = f"{file}, {place(unit, number)}"
        return DataError(f"{where}: a row is a JSON object, not {json_type(values)}", "one JSON object per row")
    return Row(file, unit, number, values, size_bytes)


def _is_array(file: Path) -> bool:
    if file.suffix != ".json":
        return False
    with file.open("rb") as opened:
        return opened.read(64).removeprefix(_UTF8_MARK).lstrip().startswith(b"[")


def _checked_keys(rows: Iterator[Row | DataError], required: list[str]) -> Iterator[Row | DataError]:
    for row in rows:
        if not isinstance(row, DataError) and any(name not in row.values for name in required):
            yield _missing_key(row.where, required, row.values)
        else:
            yield row


def _missing_key(where: str, required: list[str], present: Iterable[str]) -> DataError:
    names = list(present)
    missing = next(name for name in required if name not in names)
    near = closest(missing, [name for name in names if name not in required])
    found = f"did you mean '{near}'?" if near else f"it has {', '.join(names) or 'nothing'}"
    return DataError(f"{where}: no column '{missing}' ({found})", _COLUMNS_REMEDY)


def json_type(value: Any) -> str:
    """A value's type, as messages call it."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return "a number" if type(value) in (int, float) else names.get(type(value), type(value).__name__)


def _similar_file(file: Path) -> str:
    if not file.parent.is_dir():
        return f" (nor does the folder {file.parent})"
    near = closest(file.name, [entry.name for entry in file.parent.iterdir()])
    return f" (did you mean {file.parent / near}?)" if near else ""
