# SPDX-License-Identifier: Apache-2.0
"""A data source of one's own: training rows for `klear train`, and the reward that they get.

    python examples/my_data.py --out my_data
    klear train examples/my_recipe.yaml

The reward is chosen by a row's `data_source`. A name that klear_verl does not know is given its task, math or code, in
the configuration (`reward.reward_kwargs.klear.data_sources`, as in my_recipe.yaml); a row of an unknown name is an
error before the start, never a wrong answer.
"""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from klear_verl.reward import Scorer, ScoreRequest, reward_config

DATA_SOURCE = "my_sums"
REWARD = {"data_sources": {DATA_SOURCE: "math"}}


def training_row(a: int, b: int) -> dict[str, object]:
    """One row in verl's format: the prompt, and what an answer is compared with."""
    return {
        "data_source": DATA_SOURCE,
        "prompt": [{"role": "user", "content": f"{a}+{b}="}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": str(a + b)},
        "extra_info": {"index": 100 * a + b},
    }


def main() -> None:
    """Writes the rows, then scores a right, a wrong and a malformed response as training would."""
    parser = argparse.ArgumentParser(description="Rows of a data source of one's own, and their reward.")
    parser.add_argument("--out", type=Path, required=True, help="the folder for train.parquet and held_out.parquet")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rows = [training_row(a, b) for a in range(10, 30) for b in range(10, 30)]
    pq.write_table(pa.Table.from_pylist(rows[::2]), out / "train.parquet")
    pq.write_table(pa.Table.from_pylist(rows[1::2]), out / "held_out.parquet")

    responses = {
        "right": "<think>2+3=5, 1+1=2</think>\\boxed{25}",
        "wrong": "<think>2+3=6, 1+1=2</think>\\boxed{26}",
        "malformed": "\\boxed{25}",
    }
    with Scorer(reward_config(REWARD)) as scorer:
        for name, response in responses.items():
            result = scorer.score(ScoreRequest(name, DATA_SOURCE, response, "25"))
            print(f"{name}: score {result.score:+.1f}, {result.status}")


if __name__ == "__main__":
    main()
