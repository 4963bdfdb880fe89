# SPDX-License-Identifier: Apache-2.0
"""Means over seeds with 95 % t-intervals, and differences paired by seed. Arithmetic alone; draws nothing.

An interval assumes seeds that are independent and about normal. With three seeds it is 4.3 standard errors to each
side: it knows that three seeds say little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, stdev

CONFIDENCE = 0.95
FEWEST = 3
"""Seeds below which no difference is claimed: two shares of one set of problems are easily equal, and their deviation
is then 0 by accident."""


@dataclass(frozen=True)
class Interval:
    """`mean` ± `half` over `seeds` values; `half` is None where one seed leaves nothing to judge by."""

    mean: float
    half: float | None
    seeds: int

    @property
    def shows_a_difference(self) -> bool:
        """Of an interval of differences over enough seeds: whether it leaves 0 out."""
        return self.half is not None and self.seeds >= FEWEST and abs(self.mean) > self.half


def mean_interval(values: Sequence[float]) -> Interval | None:
    """The mean and its 95 % t-interval; None without values."""
    if not values:
        return None
    if len(values) == 1:
        return Interval(values[0], None, 1)
    error = stdev(values) / math.sqrt(len(values))
    return Interval(fmean(values), t_quantile(len(values) - 1) * error, len(values))


def paired_difference(values: Mapping[int, float], reference: Mapping[int, float]) -> Interval | None:
    """`values` minus `reference`, seed by seed (both seed → value), over the seeds that both have.

    Paired, because two arms with one seed begin with the same prompts in the same order: what a seed does to both
    cancels out.
    """
    return mean_interval([values[seed] - reference[seed] for seed in sorted(values.keys() & reference.keys())])


@cache
def t_quantile(freedom: int) -> float:
    """Student's t that |T| stays below with a probability of 95 %, for `freedom` >= 1 degrees of freedom.

    Exact but for rounding: for whole degrees of freedom the distribution is a finite sum (Abramowitz & Stegun 26.7.3
    and 26.7.4), which bisection inverts.
    """
    low, high = 0.0, math.pi / 2
    while (middle := (low + high) / 2) not in (low, high):
        if _probability_within(middle, freedom) < CONFIDENCE:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan(low)


def _probability_within(angle: float, freedom: int) -> float:
    """P(|T| < t) at t = √freedom · tan(angle)."""
    sine, squared = math.sin(angle), math.cos(angle) ** 2
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= squared * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
