# SPDX-License-Identifier: Apache-2.0
"""Turns a public GSM8K file into verl's training rows (Parquet), or into rows for `klear score` (JSON Lines).

    python examples/gsm8k_to_rows.py gsm8k_train.jsonl --out gsm8k_train.parquet
    klear train RECIPE data.train_files=gsm8k_train.parquet

    python examples/gsm8k_to_rows.py gsm8k_test.jsonl --gold --limit 200 --out gold.jsonl
    klear score gold.jsonl --out scores.jsonl                                            # every row is right

The suffix of --out chooses the format. With --gold the published solution is the response, in think tags with its
answer boxed.
"""

import argparse
import json
from itertools import islice
from pathlib import Path
from typing import Any

INSTRUCTION = "Think step by step between <think> and </think>, then give the final answer within \\boxed{}."


def split_answer(answer: str) -> tuple[str, str]:
    """The worked solution and the final answer, which GSM8K separates by `####` and writes with thousands
    separators."""
    solution, _, final = answer.rpartition("####")
    return solution.strip(), final.strip().replace(",", "")


def training_row(index: int, split: str, problem: dict[str, str]) -> dict[str, Any]:
    """One row in verl's format."""
    return {
        "data_source": "openai/gsm8k",
        "prompt": [{"role": "user", "content": f"{problem['question']}\n{INSTRUCTION}"}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": split_answer(problem["answer"])[1]},
        "extra_info": {"split": split, "index": index},
    }


def score_row(index: int, split: str, problem: dict[str, str]) -> dict[str, Any]:
    """One row for `klear score`, with the published solution as the response."""
    solution, final = split_answer(problem["answer"])
    return {
        "id": f"{split}/{index}",
        "data_source": "openai/gsm8k",
        "response": f"<think>\n{solution}\n</think>\n\\boxed{{{final}}}",
        "ground_truth": final,
    }


def main() -> None:
    """Writes the rows."""
    parser = argparse.ArgumentParser(description="GSM8K as verl rows or as rows for klear score.")
    parser.add_argument("source", type=Path, help="a JSON Lines file with question and answer")
    parser.add_argument(
        "--out", type=Path, required=True, help="*.parquet for verl; *.jsonl with --gold for klear score"
    )
    parser.add_argument("--gold", action="store_true", help="the published solutions as responses, for klear score")
    parser.add_argument("--limit", type=int, help="the first N problems only")
    options = parser.parse_args()
    if options.gold != (options.out.suffix == ".jsonl"):
        parser.error("--gold writes *.jsonl, and without it the rows go to *.parquet")
    make_row = score_row if options.gold else training_row
    with options.source.open(encoding="utf-8") as file:
        rows = [
            make_row(index, options.source.stem, json.loads(line))
            for index, line in enumerate(islice(file, options.limit))
        ]
    if options.gold:
        options.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), options.out)


if __name__ == "__main__":
    main()
