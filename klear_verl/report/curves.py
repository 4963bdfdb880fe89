# SPDX-License-Identifier: Apache-2.0
"""Several seeds of one recipe as one curve with a band. Knows steps and values, not what they mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from klear_verl.report.training_run import TrainingRun

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
        """The recipe as a person says it: `quickstart/math_rl` is "Math RL"."""
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
