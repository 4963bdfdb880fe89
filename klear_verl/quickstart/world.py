# SPDX-License-Identifier: Apache-2.0
"""The miniature world: tokenizer, random model, demonstrations, and disjoint train and held-out rows of both tasks,
all from one seed."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from klear_verl.quickstart import code_task, math_task, tiny_model
from klear_verl.utils.files import replacing_folder, write_json

DEMONSTRATIONS = 12_800
WRONG_SHARE = 0.5
HELD_OUT = {"math": 64, "code": 48}
VOCABULARY = 512
TABLES = (
    "sft_train",
    "sft_held_out",
    "math_train",
    "math_held_out",
    "code_train",
    "code_held_out",
    "code_train_unfiltered",
    "code_train_filtered",
)
"""The last two are of the ablation `test_filter`: as `code_train`, but every third problem with mistaken tests, and
what a filter leaves of it."""


def make_world(directory: Path, seed: int) -> bool:
    """Makes the world in `directory`, unless it is there already; returns whether it had to."""
    marker = directory / "world.json"
    complete = marker.is_file() and all((directory / f"{name}.parquet").is_file() for name in TABLES)
    if complete and json.loads(marker.read_text(encoding="utf-8"))["seed"] == seed:
        return False
    with replacing_folder(directory) as aside:
        sizes = _write(aside, seed)
        write_json(aside / "world.json", {"seed": seed, **sizes})
    return True


def _write(directory: Path, seed: int) -> dict[str, int]:
    rng = random.Random(seed)
    math_train, math_held_out = math_task.split(rng, HELD_OUT["math"])
    code_train, code_held_out = code_task.split(rng, HELD_OUT["code"])
    demonstrations = [_demonstration(rng, math_train, code_train) for _ in range(DEMONSTRATIONS)]
    held_out = [_demonstration(rng, math_held_out, code_held_out) for _ in range(128)]
    tokenizer = tiny_model.build_tokenizer((m["content"] for d in demonstrations for m in d["messages"]), VOCABULARY)
    tiny_model.save(directory / "model", tokenizer, tiny_model.build_model(tokenizer, seed))
    tables: dict[str, list[dict[str, Any]]] = {
        "sft_train": demonstrations,
        "sft_held_out": held_out,
        "math_train": [problem.row() for problem in math_train],
        "math_held_out": [problem.row() for problem in math_held_out],
        "code_train": [problem.row() for problem in code_train],
        "code_held_out": [problem.row() for problem in code_held_out],
        "code_train_unfiltered": [problem.row(mistaken=number % 3 == 0) for number, problem in enumerate(code_train)],
        "code_train_filtered": [problem.row() for number, problem in enumerate(code_train) if number % 3],
    }
    for name, rows in tables.items():
        _write_parquet(directory / f"{name}.parquet", rows)
    return {name: len(rows) for name, rows in tables.items()}


def _demonstration(
    rng: random.Random, math_problems: Sequence[math_task.Addition], code_problems: Sequence[code_task.LinearPair]
) -> dict[str, Any]:
    wrong = rng.random() < WRONG_SHARE
    if rng.random() < 1 / 2:
        addition = rng.choice(math_problems)
        prompt, response = addition.prompt(), addition.demonstration(forgets_carry=wrong)
    else:
        pair = rng.choice(code_problems)
        prompt, response = pair.prompt(), pair.demonstration(careless=wrong)
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]}


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)
