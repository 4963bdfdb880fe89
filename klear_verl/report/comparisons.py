# SPDX-License-Identifier: Apache-2.0
"""The pictures and tables of a comparison: every arm in a colour of its own, its mean over seeds, and how sure that is.

Only finished runs enter means and intervals; those that have begun are thin lines like every seed. Nothing is smoothed:
an interval of smoothed values would promise too much. A difference is claimed only where the 95 % t-interval of the
differences, seed by seed, leaves 0 out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from klear_verl.report.charts import REGIONS
from klear_verl.report.drawing import PALETTE, Chart, figure, legend_above, looks, slug, step_axis, to_svg
from klear_verl.report.schema import REWARD
from klear_verl.report.seeds import FEWEST, MeanInterval, mean_interval, paired_difference
from klear_verl.report.sources import Ablation, ComparedArm
from klear_verl.report.tables import EDGE, MISSING, Table, duration
from klear_verl.utils.metrics import Metrics

BAND = "Thin lines: single seeds; bold: their mean; shaded: its 95 % t-interval."


@dataclass(frozen=True)
class StepMetric:
    """A metric drawn over steps: the first of `names` that a run logged, times `scale`."""

    title: str
    ylabel: str
    names: tuple[str, ...]
    reading: str
    scale: float = 1.0

    def series(self, metrics: Metrics) -> dict[int, float]:
        """Step → value of a run."""
        return {step: value * self.scale for step, value in metrics.get(*self.names).items()}


TRAINING = {
    "reward": StepMetric("Reward", "mean reward (score units)", REWARD, "Mean reward of the responses sampled."),
    "task_score": StepMetric(
        "Task score", "mean task score", ("klear/task_score",), "Mean score of the responses sampled, before penalties."
    ),
    "acc": StepMetric(
        "Correct responses", "share (%)", ("klear/acc",), "Share of sampled responses that are entirely correct.", 100
    ),
    "pass_rate": StepMetric(
        "Tests passed", "share (%)", ("klear/pass_rate",), "Share of tests that the sampled programs pass.", 100
    ),
}
"""What may stand for progress on the prompts of training."""

_OVER_STEPS = {
    "grad_norm": StepMetric(
        "Gradient norm", "gradient norm", ("actor/grad_norm",), "Norm of the gradient before it is clipped."
    ),
    "entropy": StepMetric(
        "Entropy", "entropy (nats)", ("actor/entropy",), "Mean entropy of the policy at the tokens it sampled."
    ),
    "ppo_kl": StepMetric(
        "KL to the old policy", "KL (nats)", ("actor/ppo_kl",), "How far the updates of one step move the policy."
    ),
    "response_length": StepMetric(
        "Response length",
        "mean length (tokens)",
        ("klear/response_tokens", "response_length/mean"),
        "Mean length of the responses sampled.",
    ),
    "wasted": StepMetric(
        "Generated in vain",
        "share of responses (%)",
        ("klear/groups/wasted_share",),
        "Share of the responses generated that trained nothing.",
        100,
    ),
    "positive_lm_loss": StepMetric(
        "Loss on correct rollouts",
        "loss (nats per token)",
        ("actor/positive_lm_loss",),
        "Negative log-likelihood of the correct responses that train: the term that α weighs.",
    ),
}


def held_out_metrics(ablation: Ablation) -> list[StepMetric]:
    """verl's own validation during the runs, `val-core/<source>/<variable>/mean@n`: one for each data source."""
    names = {name for run in ablation.runs for name in run.metrics.with_prefix("val-core/") if "/mean@" in name}
    found = []
    for name in sorted(names):
        source, variable, metric = name.rsplit("/", 2)
        accuracy = variable == "acc"
        title = ("Held-out accuracy" if accuracy else "Held-out score") + (f": {source}" if len(names) > 1 else "")
        reading = "On problems that are never trained on; step 0 is before any training."
        ylabel = f"{metric.replace('mean', 'avg')} (%)" if accuracy else metric.replace("mean", "avg")
        found.append(StepMetric(title, ylabel, (f"val-core/{name}",), reading, 100 if accuracy else 1))
    return found


def charts(ablation: Ablation) -> list[Chart]:
    """The pictures that the spec asks for, in its order, as far as there is anything to draw."""
    found: list[Chart | None] = []
    for name in ablation.spec.figure.show:
        found += [over_steps(ablation, metric) for metric in _step_metrics(ablation, name)]
        if name in _PER_ARM:
            found.append(_PER_ARM[name](ablation))
    return [chart for chart in found if chart is not None]


def _step_metrics(ablation: Ablation, name: str) -> list[StepMetric]:
    if name == "held_out":
        return held_out_metrics(ablation)
    metric = TRAINING.get(ablation.spec.figure.training) if name == "training" else _OVER_STEPS.get(name)
    return [metric] if metric else []


def over_steps(ablation: Ablation, metric: StepMetric) -> Chart | None:
    """A metric per step for every arm."""
    if not any(metric.series(run.metrics) for run in ablation.runs):
        return None
    with looks():
        fig, (ax,) = figure(extra=0.2)
        for colour, arm in zip(_colours(ablation), ablation.arms, strict=True):
            _draw_arm(ax, arm, metric, colour)
        legend_above(ax, 3)
        ax.set_ylabel(metric.ylabel)
        step_axis(ax)
        _keep_to_what_can_be(ax, percent=metric.scale == 100)
        several = max(len(arm.finished) for arm in ablation.arms) > 1
        reading = f"{metric.reading} {BAND if several else 'One seed each: no interval.'}"
        if left := sum(len(arm.unfinished) for arm in ablation.arms):
            reading += f" {left} unfinished runs (dotted) are in no mean."
        return Chart(metric.title, reading, _svg(fig, ablation, metric.title))


def mean_curve(arm: ComparedArm, metric: StepMetric) -> dict[int, MeanInterval]:
    """Step → mean over the finished runs, at the steps that all of those logged which logged the metric at all: a mean
    over changing seeds would move without any of them moving."""
    series = [found for run in arm.finished.values() if (found := metric.series(run.metrics))]
    if not series:
        return {}
    steps = sorted(set(series[0]).intersection(*series[1:]))
    return {step: interval for step in steps if (interval := mean_interval([values[step] for values in series]))}


def _draw_arm(ax: Axes, arm: ComparedArm, metric: StepMetric, colour: str) -> None:
    for runs, dash in ((arm.finished, "-"), (arm.unfinished, ":")):
        for run in runs.values():
            if series := metric.series(run.metrics):
                ax.plot(list(series), list(series.values()), dash, color=colour, alpha=0.45, linewidth=0.8)
    curve = mean_curve(arm, metric)
    steps, means = list(curve), np.array([point.mean for point in curve.values()])
    halves = np.array([point.half or 0.0 for point in curve.values()])
    if halves.any():
        ax.fill_between(steps, means - halves, means + halves, color=colour, alpha=0.13, linewidth=0)
    ax.plot(steps, means, color=colour, label=arm.name, marker="o" if len(steps) < 12 else "", markersize=3)


def _keep_to_what_can_be(ax: Axes, percent: bool) -> None:
    """A t-interval knows no bounds: its band may reach below 0 or above 100 % where no value can. (In percent, values
    are shares.)"""
    low, high = ax.get_ylim()
    if all((np.asarray(line.get_ydata(), dtype=float) >= 0).all() for line in ax.lines):
        ax.set_ylim(bottom=max(low, 0.0))
    if percent:
        ax.set_ylim(top=min(high, 102.0))


def clip_regions(ablation: Ablation) -> Chart | None:
    """Tokens outside the clip range and the gradient that they carry, per arm over the whole run."""
    panels = {"tokens (%)": "actor/gppo/frac", "gradient (%)": "actor/gppo/grad_share"}
    if not any(run.metrics.with_prefix("actor/gppo/frac_") for arm in ablation.arms for run in arm.finished.values()):
        return None
    with looks():
        fig, axes = figure(len(panels), extra=0.35)
        for ax, (ylabel, prefix) in zip(axes, panels.items(), strict=True):
            base = np.zeros(len(ablation.arms))
            for name, (words, colour) in REGIONS.items():
                means = [_mean_over_run(arm, f"{prefix}_{name}") for arm in ablation.arms]
                shares = np.array([100 * mean.mean if mean else 0.0 for mean in means])
                ax.bar(np.arange(len(shares)), shares, 0.6, bottom=base, color=colour, label=words, linewidth=0)
                base = base + shares
            ax.set_ylabel(ylabel)
        legend_above(axes[0], 2)
        _arm_axis(axes[-1], ablation)
        reading = (
            "Mean over all steps and finished runs of the tokens outside the clip range (above), and of the gradient "
            "that they carry (below)."
        )
        return Chart("Clip regions", reading, _svg(fig, ablation, "Clip regions"))


def clipped_entropy(ablation: Ablation) -> Chart | None:
    """Entropy of the tokens clipped high with a positive advantage, against all others, per arm."""
    clipped, others = ("above_pos", PALETTE[1], -0.1), ("rest", PALETTE[6], 0.1)
    with looks():
        fig, (ax,) = figure(extra=0.2)
        for words, (name, colour, shift) in {REGIONS["above_pos"][0]: clipped, "all other tokens": others}.items():
            means = [_mean_over_run(arm, f"actor/gppo/entropy_{name}") for arm in ablation.arms]
            points = [(place + shift, mean) for place, mean in enumerate(means) if mean]
            if points:
                places, middles = [place for place, _ in points], [mean.mean for _, mean in points]
                halves = [mean.half or 0.0 for _, mean in points]
                ax.errorbar(places, middles, halves, fmt="o", color=colour, label=words, capsize=3, linewidth=1.2)
        if not ax.containers:
            return None
        legend_above(ax, 2)
        ax.set_ylabel("entropy (nats)")
        ax.set_ylim(bottom=0)
        _arm_axis(ax, ablation)
        reading = (
            "Mean entropy of the tokens clipped high, over the steps that have any, and of all others; bars: 95 % "
            "t-intervals over seeds. GPPO's premise is that the former lie higher."
        )
        return Chart("Entropy of clipped tokens", reading, _svg(fig, ablation, "Entropy of clipped tokens"))


_PER_ARM: dict[str, Callable[[Ablation], Chart | None]] = {
    "clip_regions": clip_regions,
    "clipped_entropy": clipped_entropy,
}


def _mean_over_run(arm: ComparedArm, name: str) -> MeanInterval | None:
    """The mean over the steps of a run, then over the arm's seeds."""
    return mean_interval(list(arm.by_seed(lambda metrics: _mean(metrics.get(name))).values()))


def _mean(series: dict[int, float]) -> float | None:
    return sum(series.values()) / len(series) if series else None


def _arm_axis(ax: Axes, ablation: Ablation) -> None:
    ax.set_xticks(range(len(ablation.arms)), [arm.name for arm in ablation.arms])
    ax.set_xlim(-0.6, len(ablation.arms) - 0.4)


def _colours(ablation: Ablation) -> list[str]:
    return [PALETTE[number % len(PALETTE)] for number in range(len(ablation.arms))]


def _svg(fig: Figure, ablation: Ablation, title: str) -> str:
    return to_svg(fig, f"{ablation.spec.title}: {title}", slug(f"{ablation.name}-{title}"))


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


def measured(interval: MeanInterval | None, metric: StepMetric) -> str:
    """A mean with its interval."""
    if interval is None:
        return MISSING
    text = _number(interval.mean, metric)
    return f"{text} ± {_number(interval.half, metric)}" if interval.half is not None else f"{text} (one seed)"


def compared(difference: MeanInterval | None, metric: StepMetric) -> str:
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
