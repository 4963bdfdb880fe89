# SPDX-License-Identifier: Apache-2.0
"""How long `klear train` checks a hundred thousand rows before it starts, every one with its reference.

Math rows carry the references that data sets have: half of them whole numbers, the rest decimals, fractions, roots,
powers, intervals, tuples, equations and sets, nearly all distinct. Code rows carry 16 tests each. The prompts are
measured too where a tokenizer is given. CPU seconds include the grader processes.

    python benchmarks/data_check.py --rows 100000 --json data_check.json
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import OmegaConf

from klear_verl.launch.compose import compose
from klear_verl.launch.preflight.data import check_rl_data
from klear_verl.launch.preflight.lengths import load_tokenizer
from klear_verl.launch.preflight.view import RLView, view_of
from klear_verl.reward.config import RewardConfig

KINDS: list[tuple[int, Callable[[random.Random], str]]] = [
    (50, lambda draw: str(draw.randrange(-10_000, 100_000))),
    (8, lambda draw: f"{draw.randrange(1000)}.{draw.randrange(1000)}"),
    (12, lambda draw: f"\\frac{{{draw.randrange(1, 1000)}}}{{{draw.randrange(2, 1000)}}}"),
    (8, lambda draw: f"{draw.randrange(2, 100)}\\sqrt{{{draw.randrange(2, 1000)}}}"),
    (4, lambda draw: f"{draw.randrange(2, 10)}^{{{draw.randrange(2, 100)}}}"),
    (6, lambda draw: f"({draw.randrange(100)}, {draw.randrange(100, 200)})"),
    (4, lambda draw: f"[{draw.randrange(100)}, \\infty)"),
    (4, lambda draw: f"x = {draw.randrange(1000)}y + {draw.randrange(1000)}"),
    (4, lambda draw: f"\\{{{draw.randrange(100)}, {draw.randrange(100, 1000)}\\}}"),
]
"""Share in percent, and one reference of the kind."""


def math_reference(draw: random.Random) -> tuple[str, str]:
    """data_source and ground truth of a math row."""
    kind = draw.choices([make for _, make in KINDS], [share for share, _ in KINDS])[0]
    return "math_longcot_math_verify", kind(draw)


def code_reference(draw: random.Random) -> tuple[str, str]:
    """data_source and ground truth of a code row: 16 tests of a few dozen numbers."""
    numbers = [[draw.randrange(10**6) for _ in range(30)] for _ in range(16)]
    tests = {"inputs": [" ".join(map(str, row)) for row in numbers], "outputs": [str(sum(row)) for row in numbers]}
    return "coder1_longcot", json.dumps(tests)


def write_rows(file: Path, count: int, reference: Callable[[random.Random], tuple[str, str]]) -> None:
    """A Parquet file in verl's row format."""
    draw = random.Random(0)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        source, truth = reference(draw)
        prompt = [{"role": "user", "content": f"Problem {number}. " + "What is the answer to this question? " * 10}]
        rows.append(
            {
                "prompt": prompt,
                "data_source": source,
                "reward_model": {"style": "rule", "ground_truth": truth},
                "extra_info": {"index": number},
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), file)


def measure(file: Path, tokenizer: Any) -> dict[str, float]:
    """Seconds of wall clock and of CPU that one check takes."""
    # Files that verl fetches are not checked.
    files = [f"data.train_files={file}", "data.val_files=hdfs://not/here.parquet", "data.max_prompt_length=4096"]
    cfg = compose("rl", [*files, "data.train_batch_size=1", "actor_rollout_ref.model.path=none"], kind="rl")
    resolved = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    view = view_of(RLView, resolved)
    before, start = os.times(), time.monotonic()
    notes = check_rl_data(view, RewardConfig(), tokenizer)
    after = os.times()
    assert not notes
    return {
        "wall_s": round(time.monotonic() - start, 1),
        "cpu_s": round(sum(after[:4]) - sum(before[:4]), 1),
    }


def main() -> None:
    """Prints a line per task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--model", help="a folder with a tokenizer, to measure the prompts too")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tokenizer = load_tokenizer(options.model, "--model") if options.model else None
    results = {}
    for task, reference in {"math": math_reference, "code": code_reference}.items():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.parquet"
            write_rows(file, options.rows, reference)
            results[task] = measure(file, tokenizer)
        print(
            f"{task}: {options.rows} rows: {results[task]['wall_s']} s, {results[task]['cpu_s']} s of CPU", flush=True
        )
    if options.json:
        options.json.write_text(json.dumps({"rows": options.rows, "cpus": os.cpu_count(), **results}) + "\n")


if __name__ == "__main__":
    main()
