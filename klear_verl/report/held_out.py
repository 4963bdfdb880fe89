# SPDX-License-Identifier: Apache-2.0
"""The pictures of evaluations: one benchmark each, models or pipeline stages in order, with 95 % intervals; and the
README picture, which puts them beside the reward curves of a quickstart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from klear_verl.errors import DataError
from klear_verl.report.drawing import (
    INK,
    PALETTE,
    Chart,
    draw_curve,
    figure,
    legend_above,
    looks,
    slug,
    step_axis,
    to_svg,
)
from klear_verl.report.schema import REWARD, BenchmarkResult, TrainingRun
from klear_verl.report.seeds import group
from klear_verl.report.sources import Evaluation, discover
from klear_verl.utils.files import replacing

STAGES = {
    "before_sft": "before SFT",
    "after_sft": "after SFT",
    "after_math_rl": "after math RL",
    "after_code_rl": "after code RL",
}


@dataclass(frozen=True)
class HeldOutBenchmark:
    """All results on one benchmark: model → one result per evaluation (several seeds give several)."""

    name: str
    by_model: dict[str, list[BenchmarkResult]]

    @property
    def models(self) -> list[str]:
        """Pipeline stages in their order, then other models in the order of the files."""
        order = list(STAGES)
        return sorted(self.by_model, key=lambda model: order.index(model) if model in order else len(order))

    @property
    def is_pipeline(self) -> bool:
        """Whether the models are the stages of one pipeline, so that a line from one to the next means something."""
        return len(self.by_model) > 1 and all(model in STAGES for model in self.by_model)

    @property
    def metric(self) -> str:
        """`avg@n`, with n where it is known and the same everywhere."""
        counts = {result.n for results in self.by_model.values() for result in results}
        n = counts.pop() if len(counts) == 1 else None
        return f"avg@{n}" if n else "avg@n"

    def mean(self, model: str) -> float:
        """avg@n in percent, mean over evaluations."""
        return float(np.mean(self.points(model)))

    def points(self, model: str) -> list[float]:
        """avg@n in percent of each evaluation."""
        return [100 * result.avg_at_n for result in self.by_model[model] if result.avg_at_n is not None]

    def pass_rate(self, model: str) -> float | None:
        """Tests passed in percent, mean over evaluations; None for benchmarks without tests."""
        rates = [100 * result.pass_rate for result in self.by_model[model] if result.pass_rate is not None]
        return float(np.mean(rates)) if rates else None


def benchmarks(evaluations: Sequence[Evaluation]) -> list[HeldOutBenchmark]:
    """The results of all evaluations by benchmark, in the order of the files, except where nothing could be graded."""
    found: dict[str, dict[str, list[BenchmarkResult]]] = {}
    for evaluation in evaluations:
        for model, results in evaluation.results.items():
            for name, result in results.items():
                if result.avg_at_n is not None:
                    found.setdefault(name, {}).setdefault(model, []).append(result)
    return [HeldOutBenchmark(name, by_model) for name, by_model in found.items()]


def accuracy(benchmark: HeldOutBenchmark) -> Chart:
    """avg@n of every model on one benchmark."""
    several = max(len(results) for results in benchmark.by_model.values()) > 1
    with looks():
        fig, (ax,) = figure(extra=0.2)
        draw_accuracy(ax, benchmark)
        svg = to_svg(fig, f"Held-out accuracy on {benchmark.name}", slug(f"held-out-{benchmark.name}"))
    problems = next((r.problems for results in benchmark.by_model.values() for r in results if r.problems), None)
    size = f"{problems} held-out problems" if problems else "held-out problems"
    reading = f"Share of correct answers ({benchmark.metric}) on {size}."
    if several:
        reading += " Small dots are single seeds, the large one their mean."
    elif any(result.avg_at_n_ci95 for results in benchmark.by_model.values() for result in results):
        reading += " Bars are 95 % intervals: where two don't overlap, chance hardly explains the difference."
    return Chart(benchmark.name, reading, svg)


_LABEL: dict[str, Any] = {
    "textcoords": "offset points",
    "color": INK,
    "fontweight": "bold",
    "bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
    "zorder": 5,
}


def draw_accuracy(ax: Axes, benchmark: HeldOutBenchmark) -> None:
    """Dots with intervals on `ax`; the pass rate of code benchmarks as hollow squares."""
    models = benchmark.models
    places = np.arange(len(models), dtype=float)
    rates = [benchmark.pass_rate(model) for model in models]
    shift = 0.13 if any(rate is not None for rate in rates) else 0.0
    line = "-" if benchmark.is_pipeline else "none"
    top = 10.0
    for place, model in zip(places - shift, models, strict=True):
        results, mean = benchmark.by_model[model], benchmark.mean(model)
        peak = mean
        if len(results) > 1:
            points = benchmark.points(model)
            ax.plot([place] * len(points), points, "o", color=PALETTE[0], alpha=0.45, markersize=3.5)
            peak = max(points)
        elif (interval := results[0].avg_at_n_ci95) is not None:
            low, high = (100 * bound for bound in interval)
            ax.plot([place, place], [low, high], color=PALETTE[0], linewidth=2.2, alpha=0.55)
            peak = max(mean, high)
        text = f"{mean:.0f} %" if mean >= 10 or mean == 0 else f"{mean:.1f} %"
        if shift:  # the squares stand to the right: the label goes left
            ax.annotate(text, (place, mean), (-7, 3), ha="right", **_LABEL)
        else:
            ax.annotate(text, (place, peak), (0, 4), ha="center", **_LABEL)
        top = max(top, peak * 1.14)
    means = [benchmark.mean(model) for model in models]
    ax.plot(
        places - shift,
        means,
        "o",
        linestyle=line,
        linewidth=1,
        color=PALETTE[0],
        label="entirely correct",
        markersize=7,
        clip_on=False,  # a dot at 0 is a whole dot
    )
    known = [(place, rate) for place, rate in zip(places + shift, rates, strict=True) if rate is not None]
    if known:
        xs, ys = zip(*known, strict=True)
        ax.plot(xs, ys, "s", color=PALETTE[1], label="tests passed", markerfacecolor="white", markeredgewidth=1.6)
        top = max(top, *(rate * 1.08 for rate in ys))
        legend_above(ax, 2)
    ax.set_ylim(0, top)
    ax.set_xlim(-0.65, len(models) - 0.5)
    labels = [_wrapped(STAGES.get(model, model)) for model in models]
    if sum(max(map(len, label.split("\n"))) for label in labels) > 44:  # they would run into each other
        ax.set_xticks(places, [label.replace("\n", " ") for label in labels], rotation=25, ha="right")
    else:
        ax.set_xticks(places, labels)
    ax.set_ylabel(f"{benchmark.metric} (%)")


def _wrapped(label: str) -> str:
    head, _, tail = label.partition(" ")
    return f"{head}\n{tail}" if tail else label


def save_overview_png(quickstart_dir: Path, path: Path, dpi: int = 150) -> None:
    """Writes the picture of `quickstart_dir` to `path`, one panel per benchmark and per RL stage, side by side.

    Raises:
        DataError: the directory holds no evaluation and no RL run, or a file in it is corrupt.
    """
    material = discover([Path(quickstart_dir)])
    marks = benchmarks(material.evaluations)
    stages = [(stage, curves) for stage in group(material.runs) if (curves := stage.curves(_reward))]
    if not marks and not stages:
        raise DataError(
            f"{quickstart_dir}: neither an evaluation nor an RL run to draw", "let the quickstart finish first"
        )
    with looks():
        fig = Figure(figsize=(3.3 * (len(marks) + len(stages)), 3.3), layout="constrained")
        axes = fig.subplots(1, len(marks) + len(stages), squeeze=False)[0]
        for ax, mark in zip(axes, marks, strict=False):
            draw_accuracy(ax, mark)
            ax.set_title(f"Held-out {mark.name}", loc="left", fontweight="bold", pad=22)
        for ax, (stage, curves) in zip(axes[len(marks) :], stages, strict=True):
            for colour, curve in zip(PALETTE, curves, strict=False):
                draw_curve(ax, curve, colour)
            if len(curves) > 1:
                legend_above(ax, 2)
            ax.set_title(f"{stage.title}: reward", loc="left", fontweight="bold", pad=22)
            ax.set_ylabel("mean reward (score units)")
            step_axis(ax)
        with replacing(path) as temporary:
            fig.savefig(temporary, format="png", dpi=dpi)


def _reward(run: TrainingRun) -> dict[int, float]:
    return run.metrics.get(*REWARD)
