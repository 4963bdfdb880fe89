# SPDX-License-Identifier: Apache-2.0
"""HumanEval and GSM8K through the example scripts and `klear score`; skipped where the files are not at hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from klear_verl.scoring.cli import main

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"


def convert(script, source, *options):
    if not (DATA / source).exists():
        pytest.skip(f"no {source} in ../shared/data")
    subprocess.run(
        [sys.executable, str(ROOT / "examples" / script), str(DATA / source), *map(str, options)], check=True
    )


def accuracies(out):
    return [json.loads(line)["acc"] for line in out.read_text().splitlines()]


@pytest.mark.parametrize(("variant", "right"), [("canonical", True), ("none", False)])
def test_humaneval_solutions_all_pass_and_empty_ones_all_fail(tmp_path, variant, right):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    convert("humaneval_to_rows.py", "HumanEval.jsonl.gz", "--variant", variant, "--out", source)
    options = ["--reward.think=off", "--raw-code", "--no-progress", "--jobs", "2"]
    assert main([str(source), "--out", str(out), *options]) == 0
    assert accuracies(out) == [right] * 164


def test_gsm8k_solutions_are_right_by_their_own_answers(tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    convert("gsm8k_to_rows.py", "gsm8k_test.jsonl", "--gold", "--limit", 200, "--out", source)
    assert main([str(source), "--out", str(out), "--no-progress"]) == 0
    assert accuracies(out) == [True] * 200


def test_gsm8k_training_rows_have_verls_columns(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    convert("gsm8k_to_rows.py", "gsm8k_train.jsonl", "--limit", 3, "--out", tmp_path / "train.parquet")
    rows = parquet.read_table(tmp_path / "train.parquet").to_pylist()
    assert set(rows[0]) == {"data_source", "prompt", "ability", "reward_model", "extra_info"}
    assert rows[0]["reward_model"]["ground_truth"] == "72"
