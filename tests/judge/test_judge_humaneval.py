# SPDX-License-Identifier: Apache-2.0
"""HumanEval's own solutions pass, all of them; empty ones fail, all of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from klear_verl.judge import Judge, Problem, problem_from_ground_truth

DATA = Path(__file__).parents[2] / "../shared/data/HumanEval.jsonl.gz"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"no {DATA.name} in ../shared/data")


def rows() -> list[dict[str, Any]]:
    with gzip.open(DATA, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def problem(row: dict[str, Any]) -> Problem:
    truth = {"functional": f"{row['test']}\ncheck({row['entry_point']})"}
    return problem_from_ground_truth(truth, problem_id=row["task_id"])


def test_all_164_canonical_solutions_pass(judge: Judge) -> None:
    passed = [judge.run(problem(row), row["prompt"] + row["canonical_solution"]).acc for row in rows()]
    assert passed == [True] * 164


def test_no_solution_that_returns_none_passes(judge: Judge) -> None:
    passed = [judge.run(problem(row), row["prompt"] + "    return None\n").acc for row in rows()]
    assert passed == [False] * 164
