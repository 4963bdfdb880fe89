# SPDX-License-Identifier: Apache-2.0
"""Opens training files row by row: existence, format and columns. What a row must hold is rows.py's subject."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from klear_verl.errors import DataError
from klear_verl.utils.nearest import closest

RL_SUFFIXES = (".parquet", ".json", ".jsonl")
SFT_SUFFIXES = (".parquet",)
"""verl 0.9.1's SFT data set reads nothing else (MultiTurnSFTDataset)."""

Row = tuple[str, dict[str, Any]]
"""Where a row is, for a message ("FILE, line 3"), and the row."""


def listed_files(cfg: DictConfig, key: str) -> list[str]:
    """The files an option names: one path or a list of paths; [] when it is null."""
    value = OmegaConf.select(cfg, key)
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list | ListConfig) else [str(value)]


def is_remote(path: str) -> bool:
    """True for a path that verl fetches itself (hdfs://…): nothing can be checked before the start."""
    return "://" in path


def check_file(path: str, key: str, suffixes: Sequence[str]) -> Path:
    """The file exists, is not empty, and is of a format that verl reads.

    Raises:
        DataError: names the option and the file.
    """
    file = Path(os.path.expanduser(path))
    if not file.exists():
        raise DataError(f"{key}: {path} does not exist{_near(file)}", f"correct {key}, or make the file")
    if not file.is_file():
        raise DataError(f"{key}: {path} is a folder", f"name the files in it: {key}=[a{suffixes[0]},b{suffixes[0]}]")
    if not os.access(file, os.R_OK):
        raise DataError(f"{key}: {path} cannot be read", "give yourself the permission to read it")
    if file.suffix not in suffixes:
        raise DataError(f"{key}: {path} is none of {', '.join(suffixes)}", f"convert it to {suffixes[0]}")
    if file.stat().st_size == 0:
        raise DataError(f"{key}: {path} is empty (0 bytes)", "make the file anew")
    return file


def read_rows(file: Path, columns: Iterable[str], optional: Iterable[str] = ()) -> Iterator[Row]:
    """Yields the rows of a checked file.

    Rows of parquet are counted from 0, lines of JSON from 1, as other tools do.

    Args:
        file: as returned by check_file.
        columns: columns every row must have.
        optional: further columns to read where the file has them.

    Raises:
        DataError: names the file and the row, line or column.
    """
    rows = (
        _parquet_rows(file, list(columns), list(optional))
        if file.suffix == ".parquet"
        else _json_rows(file, list(columns))
    )
    found = False
    for row in rows:
        found = True
        yield row
    if not found:
        raise DataError(f"{file} has no rows", "make the file anew")


def count_rows(file: Path) -> int:
    """The number of rows of a file that read_rows can read."""
    if file.suffix != ".parquet":
        return sum(1 for _ in _json_rows(file, []))
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


def _parquet_rows(file: Path, columns: list[str], optional: list[str]) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            present = parquet.schema_arrow.names
            _check_columns(file, columns, present, "")
            wanted = [*columns, *(name for name in optional if name in present)]
            number = 0
            for batch in parquet.iter_batches(batch_size=256, columns=wanted):
                for row in batch.to_pylist():
                    yield f"{file}, row {number}", row
                    number += 1
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{file} is not a readable parquet file: {error}", "make the file anew, or restore it"
        ) from error


def _json_rows(file: Path, columns: list[str]) -> Iterator[Row]:
    try:
        with file.open(encoding="utf-8") as lines:
            start = lines.read(64).lstrip()
            lines.seek(0)
            values = enumerate(json.load(lines)) if start.startswith("[") else _json_lines(file, lines)
            unit = "row" if start.startswith("[") else "line"
            for number, value in values:
                where = f"{file}, {unit} {number}"
                if not isinstance(value, dict):
                    raise DataError(f"{where}: {type(value).__name__} instead of an object", "one JSON object per row")
                _check_columns(file, columns, value, f", {unit} {number}")
                yield where, value
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8: {error}", "convert it to UTF-8") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{file} is malformed JSON: {error}", "correct the file") from error


def _json_lines(file: Path, lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{file}, line {number}: malformed JSON: {error.msg}", "correct or drop the line"
            ) from error


def _check_columns(file: Path, wanted: Iterable[str], present: Iterable[str], where: str) -> None:
    names = list(present)
    if missing := [name for name in wanted if name not in names]:
        near = closest(missing[0], names)
        found = f"did you mean '{near}'?" if near else f"it has {', '.join(names) or 'no columns'}"
        raise DataError(
            f"{file}{where}: no column '{missing[0]}' ({found})",
            "name the columns as verl does, or set the data.*_key options",
        )


def _near(file: Path) -> str:
    if not file.parent.is_dir():
        return f" (nor does the folder {file.parent})"
    near = closest(file.name, [entry.name for entry in file.parent.iterdir()])
    return f" (did you mean {file.parent / near}?)" if near else ""
