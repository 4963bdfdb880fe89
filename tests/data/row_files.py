# SPDX-License-Identifier: Apache-2.0
"""Writes rows in each of the formats that are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FORMATS = ("parquet", "json", "jsonl")


def write_rows(folder: Path, format: str, rows: Sequence[Any]) -> Path:
    """A file of these rows, which are dicts where the format is Parquet."""
    file = folder / f"rows.{format}"
    if format == "parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), file)
    elif format == "json":
        file.write_text(json.dumps(rows), encoding="utf-8")
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def place(file: Path, index: int) -> str:
    """What a message about the row at this position begins with."""
    return f"{file}, line {index + 1}" if file.suffix == ".jsonl" else f"{file}, row {index} (from 0)"
