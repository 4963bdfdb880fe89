# SPDX-License-Identifier: Apache-2.0
"""The figures in result.json, for hand-made rows."""

import pytest

from klear_verl.data.schemas import TrainingRow
from klear_verl.evaluation.benchmark import Benchmark
from klear_verl.evaluation.config import BenchmarkConfig
from klear_verl.evaluation.statistics import summarize


def summary_of(rows, is_code=False):
    """`rows[i][j]` is (status, acc, pass_rate, finish_reason) of sample j of problem i."""
    problems = [TrainingRow("", [], "", "", {})] * len(rows)
    code = frozenset(range(len(rows)) if is_code else ())
    benchmark = Benchmark(BenchmarkConfig(name="bench", data="-", n=len(rows[0])), problems, code, "")
    cells = {(i, j): cell for i, samples in enumerate(rows) for j, cell in enumerate(samples)}
    scores = {key: {"status": cell[0], "acc": cell[1], "pass_rate": cell[2]} for key, cell in cells.items()}
    responses = {key: {"finish_reason": cell[3], "tokens": 10 * (key[1] + 1)} for key, cell in cells.items()}
    return summarize(benchmark, responses, scores, seed=0)


RIGHT = ("graded", True, None, "stop")
WRONG = ("graded", False, None, "stop")
MALFORMED = ("malformed", False, None, "length")
UNGRADED = ("ungraded", None, None, "stop")


def test_figures_of_two_problems_as_worked_by_hand():
    summary = summary_of([[RIGHT, WRONG], [WRONG, MALFORMED]])
    assert summary["avg_at_n"] == pytest.approx(0.25)
    assert summary["pass_at_k"] == {"1": pytest.approx(0.25), "2": pytest.approx(0.5)}
    assert (summary["problems"], summary["n"]) == (2, 2)
    assert (summary["malformed"], summary["truncated"], summary["ungraded"]) == (1, 1, 0)
    assert summary["mean_tokens"] == pytest.approx(15.0)
    assert summary["pass_rate"] is None


def test_an_ungraded_sample_is_counted_and_moves_no_average():
    summary = summary_of([[RIGHT, UNGRADED], [WRONG, WRONG]])
    assert summary["ungraded"] == 1
    assert summary["avg_at_n"] == pytest.approx(0.5)
    assert summary["pass_at_k"] == {"1": pytest.approx(0.5), "2": None}


def test_nothing_graded_gives_no_figure_rather_than_zero():
    summary = summary_of([[UNGRADED], [UNGRADED]])
    assert (summary["avg_at_n"], summary["avg_at_n_ci95"], summary["pass_rate"]) == (None, None, None)


def test_the_pass_rate_of_code_counts_malformed_programs_as_zero():
    cells = [
        [("graded", False, 0.25, "stop"), ("malformed", False, None, "stop")],
        [("graded", True, 1.0, "stop"), UNGRADED],
    ]
    summary = summary_of(cells, is_code=True)
    assert summary["pass_rate"] == pytest.approx((0.25 + 0.0 + 1.0) / 3)
