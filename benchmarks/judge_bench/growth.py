# SPDX-License-Identifier: Apache-2.0
"""Whether a curve grows: the rule by which a long run passes or fails. Pure arithmetic."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

WARM_UP = 0.2
"""The first fifth of a run may grow: caches fill, allocators find their size."""


def growth(curve: Sequence[float]) -> float:
    """How much higher the last fifth of a curve is than the fifth after the warm-up, by their medians: a single high
    sample says nothing. 0 for a curve too short to tell.
    """
    fifth = max(1, int(len(curve) * WARM_UP))
    if len(curve) < 3 * fifth or len(curve) < 5:
        return 0.0
    return statistics.median(curve[-fifth:]) - statistics.median(curve[fifth : 2 * fifth])
