# SPDX-License-Identifier: Apache-2.0
"""The pictures of a comparison: every arm in a colour of its own, its mean over seeds, and how sure that mean is.

Only finished runs enter means and intervals; those that have begun are thin lines like every seed. Nothing is smoothed:
an interval of smoothed values would promise too much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from klear_verl.report.ablations import Ablation, Arm
from klear_verl.report.diagnostics import REGIONS
from klear_verl.report.panels import slug, step_axis
from klear_verl.report.statistics import Interval, mean_interval
from klear_verl.report.style import PALETTE, Chart, figure, legend_above, looks, to_svg
from klear_verl.utils.metrics import REWARD, Metrics

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


def mean_curve(arm: Arm, metric: StepMetric) -> dict[int, Interval]:
    """Step → mean over the finished runs, at the steps that all of those logged which logged the metric at all: a mean
    over changing seeds would move without any of them moving."""
    series = [found for run in arm.finished.values() if (found := metric.series(run.metrics))]
    if not series:
        return {}
    steps = sorted(set(series[0]).intersection(*series[1:]))
    return {step: interval for step in steps if (interval := mean_interval([values[step] for values in series]))}


def _draw_arm(ax: Axes, arm: Arm, metric: StepMetric, colour: str) -> None:
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


def _mean_over_run(arm: Arm, name: str) -> Interval | None:
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
