# SPDX-License-Identifier: Apache-2.0
"""Files and folders that are whole or absent, however the writer ends.

Each is written under a temporary name beside its place, brought to the disk, and renamed: a reader sees the old content
or the new one. Rows that are appended one by one are `json_lines`' subject, keeping others out is `locks`'.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Replaces the content of `path`, all or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Replaces `path` by `value` as JSON, all or nothing. What JSON can't hold leaves the old file as it is."""
    write_text(path, json.dumps(value, indent=indent) + "\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write a file to; it takes the place of `path` when the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _to_disk(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _to_disk(path.parent)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `folder` when the block ends without an exception.

    What `folder` held is removed just before: an end in between leaves no folder, never a mixture.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # of an attempt that was killed
    temporary.mkdir(parents=True)
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary)
        raise
    if folder.exists():
        shutil.rmtree(folder)
    temporary.rename(folder)
    _to_disk(folder.parent)


def _to_disk(path: Path) -> None:
    """Without it a machine that goes down may come back with an empty file under the new name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
