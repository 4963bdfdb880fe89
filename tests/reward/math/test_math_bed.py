# SPDX-License-Identifier: Apache-2.0
"""The math judge on labelled public cases; skipped where the file is not at hand."""

import json
from pathlib import Path

import pytest

from klear_verl.reward.math.judge import grade

DATA = Path(__file__).parents[3].parent / "shared" / "data"


@pytest.mark.parametrize("name", ["math_bed_open.jsonl", "format_cases.jsonl"])
def test_the_labelled_cases_are_graded_as_labelled(name):
    """Wanted are 98 % right and at most 0.5 % of wrong answers accepted."""
    if not (DATA / name).exists():
        pytest.skip(f"no {name} in ../shared/data")
    rows = [json.loads(line) for line in (DATA / name).read_text().splitlines()]
    rows = [row for row in rows if "want_acc" in row and row["row"]["data_source"].startswith(("math", "openai/gsm8k"))]
    graded = []
    for row in rows:
        truth = row["row"]["ground_truth"]
        reference = truth if isinstance(truth, str) else repr(truth)
        graded.append(grade(reference, row["row"]["response"].rpartition("</think>")[2])[0])
    wanted = [bool(row["want_acc"]) for row in rows]
    right = sum(given == want for given, want in zip(graded, wanted, strict=True))
    accepted = sum(given and not want for given, want in zip(graded, wanted, strict=True))
    assert right / len(rows) >= 0.98
    assert accepted / max(1, wanted.count(False)) <= 0.005
