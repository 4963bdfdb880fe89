# SPDX-License-Identifier: Apache-2.0
"""The figures of one model on one benchmark, and the statistics they are made of: avg@n, pass@k and a confidence
interval, which are pure arithmetic on the outcomes of the samples of each problem.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from klear_verl.evaluation.benchmark import Benchmark

Key = tuple[int, int]
"""(problem, sample): their positions."""

Outcomes = Sequence[Sequence[bool]]
"""`outcomes[i][j]`: sample j of problem i is entirely correct. Problems may differ in the number of samples."""

_RESAMPLES = 10_000
_CHUNK_ELEMENTS = 4_000_000


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
    keys = [[(problem, sample) for sample in range(n)] for problem in range(len(benchmark.problems))]
    graded = [[key for key in samples if scores[key]["status"] != "ungraded"] for samples in keys]
    outcomes = [[bool(scores[key]["acc"]) for key in samples] for samples in graded]
    every = [key for samples in keys for key in samples]
    interval = bootstrap_ci95(outcomes, seed)
    # A malformed program passes no test; its row says None because none was run.
    pass_rates = [scores[key]["pass_rate"] or 0.0 for samples in graded for key in samples if key[0] in benchmark.code]
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


def avg_at_n(outcomes: Outcomes) -> float | None:
    """The mean over problems of the share of correct samples: the paper's avg@n.

    Problems without a sample are left out; None if there is no other.
    """
    rates = _rates(outcomes)
    return float(np.mean(rates)) if rates else None


def pass_at_k(n: int, c: int, k: int) -> float:
    """The unbiased estimate of P(at least one of k samples is correct): 1 - C(n-c, k) / C(n, k), Chen et al. 2021
    (Codex), section 2.1.

    Args:
        n: samples drawn for the problem.
        c: how many of them are correct, 0 <= c <= n.
        k: 1 <= k <= n.
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass@k needs 0 <= c <= n and 1 <= k <= n, got n={n}, c={c}, k={k}")
    # Python's integers keep this exact for any n; the product form of the paper's appendix exists only for NumPy's
    # sake.
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def mean_pass_at_k(outcomes: Outcomes, k: int) -> float | None:
    """pass@k averaged over problems; None if a problem has fewer than k samples, for which there is no unbiased
    estimate."""
    if not outcomes or any(len(samples) < k for samples in outcomes):
        return None
    return math.fsum(pass_at_k(len(samples), sum(samples), k) for samples in outcomes) / len(outcomes)


def bootstrap_ci95(outcomes: Outcomes, seed: int) -> tuple[float, float] | None:
    """The 95 % percentile bootstrap interval of avg@n, resampling problems with replacement.

    Problems, not samples, are the unit: the samples of one problem are not independent evidence about the benchmark.
    None with fewer than two problems, where resampling says nothing.
    """
    rates = np.asarray(_rates(outcomes), dtype=np.float64)
    if len(rates) < 2:
        return None
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK_ELEMENTS // len(rates))
    means: list[np.ndarray] = []
    for start in range(0, _RESAMPLES, rows):
        picks = generator.integers(len(rates), size=(min(rows, _RESAMPLES - start), len(rates)))
        means.append(rates[picks].mean(axis=1))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


def reported_ks(n: int) -> list[int]:
    """The k for which pass@k is reported: powers of two up to n, and n itself."""
    return sorted({2**power for power in range(n.bit_length()) if 2**power <= n} | {n})


def _rates(outcomes: Outcomes) -> list[float]:
    return [sum(samples) / len(samples) for samples in outcomes if samples]
