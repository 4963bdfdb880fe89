# SPDX-License-Identifier: Apache-2.0
"""Turns the public HumanEval file into rows for `klear score`.

    python examples/humaneval_to_rows.py HumanEval.jsonl.gz --variant canonical --out canonical.jsonl
    klear score canonical.jsonl --out scores.jsonl --reward.think=off --raw-code        # every row is right
    python examples/humaneval_to_rows.py HumanEval.jsonl.gz --variant none --out none.jsonl
    klear score none.jsonl --out none_scores.jsonl --reward.think=off --raw-code        # no row is

`canonical` takes the published solution as the response; `none` replaces its body by `return None`. It generates
nothing: for a model's own responses, put them in place of `response`.
"""

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

BODIES = {"canonical": lambda problem: problem["canonical_solution"], "none": lambda problem: "    return None\n"}


def rows(source: Path, variant: str) -> Iterator[dict]:
    """One row per problem; the ground truth is the published record, as the judge reads it."""
    opener = gzip.open if source.suffix == ".gz" else open
    with opener(source, "rt", encoding="utf-8") as file:
        for problem in map(json.loads, file):
            yield {
                "id": problem["task_id"],
                "data_source": "humaneval",
                "response": problem["prompt"] + BODIES[variant](problem),
                "ground_truth": {key: problem[key] for key in ("prompt", "test", "entry_point")},
            }


def main() -> None:
    """Writes the rows."""
    parser = argparse.ArgumentParser(description="HumanEval as rows for klear score.")
    parser.add_argument("source", type=Path, help="HumanEval.jsonl or HumanEval.jsonl.gz")
    parser.add_argument("--variant", choices=sorted(BODIES), default="canonical")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with options.out.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows(options.source, options.variant))


if __name__ == "__main__":
    main()
