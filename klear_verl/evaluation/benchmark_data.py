# SPDX-License-Identifier: Apache-2.0
"""Reads a benchmark: a .parquet or .jsonl file of rows in verl's format. Every complaint names the file and the row.

It does not look inside ground truths (the scorer does) and does not tokenize.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klear_verl.errors import DataError
from klear_verl.evaluation.config import BenchmarkConfig
from klear_verl.reward.config import RewardConfig

_FORMAT = "rows need: prompt (list of {role, content}), data_source, reward_model.ground_truth (docs/commands/eval.md)"


@dataclass(frozen=True)
class EvalProblem:
    """One row of a benchmark. `where` names it for a person; `index` is its position in the file, from 0."""

    index: int
    where: str
    prompt: list[dict[str, Any]]
    data_source: str
    ground_truth: Any
    extra_info: dict[str, Any]
    is_code: bool


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that has been read. `digest` is the SHA-256 of the whole file."""

    config: BenchmarkConfig
    problems: list[EvalProblem]
    digest: str


def read_benchmark(config: BenchmarkConfig, reward: RewardConfig) -> Benchmark:
    """Reads the first `max_problems` rows of the benchmark's file (all of them by default).

    Raises:
        DataError: the file is missing, empty, of another type or malformed, or a row lacks something or has a
        data_source that `reward`
            does not know.
    """
    path = Path(config.data)
    label = f"benchmark {config.name}: {path}"
    if not path.is_file():
        raise DataError(
            f"{label}: no such file", f"set `data` of the benchmark {config.name} to a .parquet or .jsonl file"
        )
    if path.suffix not in (".parquet", ".jsonl"):
        raise DataError(f"{label}: neither .parquet nor .jsonl", "convert it to one of these")
    rows = _parquet_rows(path, label) if path.suffix == ".parquet" else _jsonl_rows(path, label)
    problems = []
    for index, (where, row) in enumerate(rows):
        if index == config.max_problems:
            break
        problems.append(_problem(index, where, row, reward))
    if not problems:
        raise DataError(f"{label}: has no rows", "is it the right file, and was it written to the end?")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Benchmark(config, problems, digest)


def _jsonl_rows(path: Path, label: str) -> Iterator[tuple[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield f"{label}: line {number}", json.loads(line)
            except ValueError as error:
                raise DataError(
                    f"{label}: line {number}: not JSON ({error})", "one JSON object per line, in UTF-8"
                ) from error


def _parquet_rows(path: Path, label: str) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{label}: row {number}", row
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{label}: not a readable parquet file ({error})", "write it again") from error


def _problem(index: int, where: str, row: Any, reward: RewardConfig) -> EvalProblem:
    if not isinstance(row, dict):
        raise DataError(f"{where}: not an object", _FORMAT)
    prompt = row.get("prompt")
    if not (isinstance(prompt, list) and prompt and all(_is_message(message) for message in prompt)):
        raise DataError(f"{where}: prompt must be a list of {{role, content}}, got {_short(prompt)}", _FORMAT)
    data_source = row.get("data_source")
    if not (isinstance(data_source, str) and data_source):
        raise DataError(f"{where}: data_source must be a string, got {_short(data_source)}", _FORMAT)
    try:
        task = reward.task_of(data_source)
    except DataError as error:
        raise DataError(f"{where}: {error.what}", error.remedy) from error
    reward_model = row.get("reward_model")
    if not isinstance(reward_model, dict) or reward_model.get("ground_truth") is None:
        raise DataError(f"{where}: reward_model.ground_truth is missing", _FORMAT)
    extra_info = row.get("extra_info")
    if extra_info is not None and not isinstance(extra_info, dict):
        raise DataError(f"{where}: extra_info must be an object, got {_short(extra_info)}", _FORMAT)
    return EvalProblem(
        index=index,
        where=where,
        prompt=prompt,
        data_source=data_source,
        ground_truth=reward_model["ground_truth"],
        extra_info=extra_info or {},
        is_code=task == "code",
    )


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(message.get("content"), str)
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
