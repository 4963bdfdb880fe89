# SPDX-License-Identifier: Apache-2.0
"""The tables of a comparison: where each arm ended and what of it is a difference, what the arms change, and its runs.

A difference is claimed only where the 95 % t-interval of the differences, seed by seed, leaves 0 out.
"""

from __future__ import annotations

from collections.abc import Callable

from klear_verl.report.ablation_charts import TRAINING, StepMetric, held_out_metrics
from klear_verl.report.ablations import Ablation
from klear_verl.report.statistics import FEWEST, Interval, mean_interval, paired_difference
from klear_verl.report.tables import EDGE, MISSING, Table, duration
from klear_verl.utils.metrics import Metrics

Value = Callable[[Metrics], float | None]


def outcome(ablation: Ablation) -> Table:
    """One row per arm: its last validation and the end of its training, each with the difference to the first arm."""
    columns = _columns(ablation)
    first = ablation.arms[0]
    head = ["arm", "seeds"]
    rows = [[arm.name, str(len(arm.finished))] for arm in ablation.arms]
    for title, metric, value in columns:
        head += [f"{title} (%)" if metric.scale == 100 else title, f"against {first.name}"]
        reference = first.by_seed(value)
        for arm, row in zip(ablation.arms, rows, strict=True):
            figures = arm.by_seed(value)
            row.append(measured(mean_interval(list(figures.values())), metric))
            row.append(MISSING if arm is first else compared(paired_difference(figures, reference), metric))
    return Table(head, rows)


def _columns(ablation: Ablation) -> list[tuple[str, StepMetric, Value]]:
    """Title, metric, and the one figure of a run."""
    found = [(metric.title, metric, _last(metric)) for metric in held_out_metrics(ablation)]
    if metric := TRAINING.get(ablation.spec.figure.training):
        found.append((f"{metric.title} in training", metric, _end(metric)))
    return found


def note(ablation: Ablation) -> str:
    """How to read the table, and what it can't say."""
    text = (
        f"Held-out figures: the last validation. Training: mean of the last {EDGE} steps. ± is a 95 % t-interval over "
        f"seeds; differences to {ablation.arms[0].name} are taken seed by seed. Where the interval of a difference "
        "includes 0, no difference is shown, which is not to say that there is none."
    )
    comparisons = (len(ablation.arms) - 1) * len(_columns(ablation))
    if comparisons > 1:
        text += f" Of twenty comparisons without any real difference one would show one; these are {comparisons}."
    return text


def measured(interval: Interval | None, metric: StepMetric) -> str:
    """A mean with its interval."""
    if interval is None:
        return MISSING
    text = _number(interval.mean, metric)
    return f"{text} ± {_number(interval.half, metric)}" if interval.half is not None else f"{text} (one seed)"


def compared(difference: Interval | None, metric: StepMetric) -> str:
    """A difference with its interval, and what that shows."""
    if difference is None:
        return MISSING
    text = _number(difference.mean, metric, "+")
    if difference.half is None:
        return f"{text} (one seed: nothing to judge by)"
    shown = "no difference shown"
    if difference.seeds < FEWEST:
        shown = f"{difference.seeds} seeds, too few to judge by"
    elif difference.shows_a_difference:
        shown = "higher" if difference.mean > 0 else "lower"
    return f"{text} ± {_number(difference.half, metric)}: {shown}"


def changes(ablation: Ablation) -> Table:
    """What each arm changes in the recipe, beside what all of them do."""
    rows = [[arm.name, " ".join(arm.overrides) or "nothing"] for arm in ablation.arms]
    everywhere = " ".join(_placeless(override) for override in ablation.spec.overrides) or "nothing"
    return Table(["arm", f"changes in {ablation.spec.recipe}"], [["all", everywhere], *rows])


def runs(ablation: Ablation) -> Table:
    """One row per run."""
    rows = []
    for arm in ablation.arms:
        for item in arm.runs:
            info = item.run.info if item.run else None
            steps = str(item.run.metrics.last_step) if item.run else MISSING
            place = item.run.directory.name if item.run else MISSING
            row = [arm.name, str(item.seed), item.status, steps, duration(info.wall_s if info else None), place]
            rows.append(row)
    return Table(["arm", "seed", "status", "steps", "wall time", "directory"], rows)


def _last(metric: StepMetric) -> Value:
    def value(metrics: Metrics) -> float | None:
        series = metric.series(metrics)
        return series[max(series)] if series else None

    return value


def _end(metric: StepMetric) -> Value:
    def value(metrics: Metrics) -> float | None:
        last = list(metric.series(metrics).values())[-EDGE:]
        return sum(last) / len(last) if last else None

    return value


def _number(value: float, metric: StepMetric, sign: str = "-") -> str:
    digits = 1 if metric.scale == 100 else 3
    return f"{value:{sign}z.{digits}f}".replace("-", "−")


def _placeless(override: str) -> str:
    # Interpolations and paths say nothing to a reader of the report.
    key, _, value = override.partition("=")
    return f"{key}=…/{value.rsplit('/', 1)[-1]}" if "/" in value else override
