# SPDX-License-Identifier: Apache-2.0
"""What several seeds say together: a curve with a band, a mean with its 95 % t-interval, a difference paired by seed.

Arithmetic alone: knows steps and values, not what they mean, and draws nothing. An interval assumes seeds that are
independent and about normal. With three seeds it is 4.3 standard errors to each side: three seeds say little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from klear_verl.report.schema import TrainingRun

Pick = Callable[[TrainingRun], dict[int, float]]
"""Chooses one series (step → value) of a run."""


@dataclass(frozen=True)
class Curve:
    """A line over steps. Arrays of shape (steps,); `low`/`high` are the minimum and maximum over `seeds` runs."""

    label: str
    steps: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    seeds: int = 1


@dataclass(frozen=True)
class Stage:
    """The runs of one recipe: together if their seeds differ (one curve, a band), else one curve per directory."""

    kind: str
    recipe: str
    lines: tuple[tuple[str, tuple[TrainingRun, ...]], ...]

    @property
    def title(self) -> str:
        """The recipe's name for a heading: `quickstart/math_rl` is "Math RL"."""
        return TITLES.get(self.recipe.rsplit("/", 1)[-1], self.recipe)

    @property
    def runs(self) -> list[TrainingRun]:
        """All runs of the stage."""
        return [run for _, runs in self.lines for run in runs]

    def curves(self, pick: Pick) -> list[Curve]:
        """One curve per line that has any value of this series."""
        made = [band(label, [pick(run) for run in runs]) for label, runs in self.lines]
        return [curve for curve in made if curve is not None]


# In the order of the pipeline.
TITLES = {"sft": "SFT", "math_rl": "Math RL", "code_rl": "Code RL"}


def group(runs: Sequence[TrainingRun]) -> list[Stage]:
    """Runs by kind and recipe: SFT before RL, then in the order given."""
    groups: dict[tuple[str, str], list[TrainingRun]] = {}
    for run in runs:
        groups.setdefault((run.kind, run.recipe), []).append(run)
    stages = [Stage(kind, recipe, _lines(members)) for (kind, recipe), members in groups.items()]
    pipeline = list(TITLES.values())
    return sorted(stages, key=lambda s: (s.kind != "sft", pipeline.index(s.title) if s.title in pipeline else 99))


def _lines(runs: list[TrainingRun]) -> tuple[tuple[str, tuple[TrainingRun, ...]], ...]:
    seeds = [run.info.seed if run.info else None for run in runs]
    if None not in seeds and len(set(seeds)) == len(seeds):
        label = f"seed {seeds[0]}" if len(seeds) == 1 else f"mean of {len(seeds)} seeds"
        return ((label, tuple(runs)),)
    # The same seed twice: these runs were meant to be compared, not averaged.
    names = [run.directory.name for run in runs]
    if len(set(names)) < len(names):
        names = [f"{run.directory.resolve().parent.name}/{run.directory.name}" for run in runs]
    return tuple((name, (run,)) for name, run in zip(names, runs, strict=True))


def band(label: str, series: Sequence[dict[int, float]]) -> Curve | None:
    """Mean, minimum and maximum over runs at every step that any of them logged; None if none logged anything."""
    filled = [values for values in series if values]
    if not filled:
        return None
    steps = sorted(set().union(*filled))
    at_step = [[values[step] for values in filled if step in values] for step in steps]
    return Curve(
        label=label,
        steps=np.array(steps, dtype=np.float64),
        mean=np.array([np.mean(values) for values in at_step]),
        low=np.array([min(values) for values in at_step]),
        high=np.array([max(values) for values in at_step]),
        seeds=len(filled),
    )


def smooth(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Centred moving average of `values`, shape (steps,); near the ends the window shrinks symmetrically."""
    half = window // 2
    reach = [min(half, index, len(values) - 1 - index) for index in range(len(values))]
    return np.array([values[index - r : index + r + 1].mean() for index, r in enumerate(reach)])


CONFIDENCE = 0.95
FEWEST = 3
"""Seeds below which no difference is claimed: two shares of one set of problems are easily equal, and their deviation
is then 0 by accident."""


@dataclass(frozen=True)
class MeanInterval:
    """`mean` ± `half` over `seeds` values; `half` is None where one seed leaves nothing to judge by."""

    mean: float
    half: float | None
    seeds: int

    @property
    def shows_a_difference(self) -> bool:
        """Of an interval of differences over enough seeds: whether it leaves 0 out."""
        return self.half is not None and self.seeds >= FEWEST and abs(self.mean) > self.half


def mean_interval(values: Sequence[float]) -> MeanInterval | None:
    """The mean and its 95 % t-interval; None without values."""
    if not values:
        return None
    if len(values) == 1:
        return MeanInterval(values[0], None, 1)
    error = stdev(values) / math.sqrt(len(values))
    return MeanInterval(fmean(values), t_quantile(len(values) - 1) * error, len(values))


def paired_difference(values: Mapping[int, float], reference: Mapping[int, float]) -> MeanInterval | None:
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
