# SPDX-License-Identifier: Apache-2.0
"""avg@n, pass@k and a confidence interval, from the outcomes of the samples of each problem.

Pure arithmetic on lists of booleans, one list per problem. What counts as an outcome (ungraded samples don't) is
decided in `summary`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Outcomes = Sequence[Sequence[bool]]
"""`outcomes[i][j]`: sample j of problem i is entirely correct. Problems may differ in the number of samples."""

_RESAMPLES = 10_000
_CHUNK_ELEMENTS = 4_000_000


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
