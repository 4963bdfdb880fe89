# SPDX-License-Identifier: Apache-2.0
"""The figures of one model on one benchmark, from the rows in responses.jsonl and scores.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from klear_verl.evaluation.benchmark_data import Benchmark
from klear_verl.evaluation.statistics import avg_at_n, bootstrap_ci95, mean_pass_at_k, reported_ks

Key = tuple[int, int]


def summarize(
    benchmark: Benchmark, responses: Mapping[Key, Mapping[str, Any]], scores: Mapping[Key, Mapping[str, Any]], seed: int
) -> dict[str, Any]:
    """The benchmark's entry in result.json.

    Malformed responses are wrong answers. Ungraded ones are no answers: they are counted in `ungraded` and enter no
    other figure about correctness, so that a failure of the grader never moves a result.

    Args:
        benchmark: decides which samples count; every one of them must be in `responses` and `scores`.
        responses: rows of responses.jsonl by (problem index, sample index).
        scores: rows of scores.jsonl, likewise.
        seed: of the bootstrap.
    """
    n = benchmark.config.n
    keys = [[(problem.index, sample) for sample in range(n)] for problem in benchmark.problems]
    graded = [[key for key in samples if scores[key]["status"] != "ungraded"] for samples in keys]
    outcomes = [[bool(scores[key]["acc"]) for key in samples] for samples in graded]
    every = [key for samples in keys for key in samples]
    interval = bootstrap_ci95(outcomes, seed)
    code = {problem.index for problem in benchmark.problems if problem.is_code}
    # A malformed program passes no test; its row says None because none was run.
    pass_rates = [scores[key]["pass_rate"] or 0.0 for samples in graded for key in samples if key[0] in code]
    return {
        "problems": len(benchmark.problems),
        "n": n,
        "avg_at_n": avg_at_n(outcomes),
        "avg_at_n_ci95": list(interval) if interval else None,
        "pass_at_k": {str(k): mean_pass_at_k(outcomes, k) for k in reported_ks(n)},
        "pass_rate": sum(pass_rates) / len(pass_rates) if pass_rates else None,
        "malformed": sum(scores[key]["status"] == "malformed" for key in every),
        "ungraded": sum(scores[key]["status"] == "ungraded" for key in every),
        "truncated": sum(responses[key]["finish_reason"] == "length" for key in every),
        "mean_tokens": sum(responses[key]["tokens"] for key in every) / len(every),
    }
