# SPDX-License-Identifier: Apache-2.0
"""How curves become a picture: panels over one step axis, legends that hide nothing, bands, smoothing.

What is drawn and why is charts.py's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from klear_verl.report.curves import Curve, Stage, smooth
from klear_verl.report.metrics import Metrics
from klear_verl.report.sources import TrainingRun
from klear_verl.report.style import PALETTE, Chart, figure, legend_above, looks, to_svg

SMOOTH_FROM, WINDOW = 12, 5


@dataclass(frozen=True)
class Line:
    """One metric of a chart: the first of `names` that a run logged (or `compute`d of several), times `scale`."""

    label: str
    names: tuple[str, ...] = ()
    scale: float = 1.0
    colour: str | None = None
    compute: Callable[[Metrics], dict[int, float]] | None = None

    def pick(self, run: TrainingRun) -> dict[int, float]:
        """The series of a run."""
        series = self.compute(run.metrics) if self.compute else run.metrics.get(*self.names)
        return {step: value * self.scale for step, value in series.items()}


@dataclass(frozen=True)
class Panel:
    """One pair of axes: its y label with the unit, and what is drawn. Counts and schedules are not to be smoothed."""

    ylabel: str
    lines: tuple[Line, ...]
    from_zero: bool = False
    smoothed: bool = True


@dataclass(frozen=True)
class _Drawn:
    curve: Curve
    colour: str
    dash: str


def chart(stage: Stage, title: str, reading: str, panels: Sequence[Panel]) -> Chart | None:
    """Panels over a shared step axis; those without data are left out. None if nothing is left."""
    filled = [(panel, drawn) for panel in panels if (drawn := _drawn(stage, panel))]
    if not filled:
        return None
    seeds = max(item.curve.seeds for _, drawn in filled for item in drawn)
    with looks():
        # A legend is needed once, unless a panel has other lines than the one above it.
        names = [[item.curve.label for item in drawn] for _, drawn in filled]
        legends = [len(here) > 1 and here != above for here, above in zip(names, [[], *names], strict=False)]
        rows = sum(_rows(here) for here, shown in zip(names, legends, strict=True) if shown)
        fig, axes = figure(len(filled), extra=0.18 * max(0, rows - 1))
        for ax, (panel, drawn), legend in zip(axes, filled, legends, strict=True):
            for item in drawn:
                draw_curve(ax, item.curve, item.colour, item.dash, panel.smoothed)
            if legend:
                legend_above(ax, _columns([item.curve.label for item in drawn]))
            ax.set_ylabel(panel.ylabel)
            if panel.from_zero:
                ax.set_ylim(bottom=0)
        step_axis(axes[-1])
        if any(panel.smoothed and is_long(item.curve) for panel, drawn in filled for item in drawn):
            reading += f" Thin: as logged; bold: mean of {WINDOW} steps."
        if seeds > 1:
            reading += f" Lines: mean of {seeds} seeds; shaded: lowest to highest."
        return Chart(title, reading, to_svg(fig, f"{stage.title}: {title}", slug(f"{stage.recipe}-{title}")))


def _columns(labels: Sequence[str]) -> int:
    longest = max(map(len, labels))
    return 3 if longest <= 12 else 2 if longest <= 26 else 1


def _rows(labels: Sequence[str]) -> int:
    return -(-len(labels) // _columns(labels))


def _drawn(stage: Stage, panel: Panel) -> list[_Drawn]:
    """The curves of a panel. A colour per metric; where runs are compared, per run, with dashes per metric."""
    order = [label for label, _ in stage.lines]
    found = []
    for number, line in enumerate(panel.lines):
        for curve in stage.curves(line.pick):
            if len(order) == 1:
                colour = line.colour or PALETTE[number % len(PALETTE)]
                found.append(_Drawn(replace(curve, label=line.label), colour, "-"))
            else:
                label = f"{curve.label}: {line.label}" if len(panel.lines) > 1 else curve.label
                colour = PALETTE[order.index(curve.label) % len(PALETTE)]
                found.append(_Drawn(replace(curve, label=label), colour, ("-", "--", ":", "-.")[number % 4]))
    return found


def is_long(curve: Curve) -> bool:
    """Whether a curve has enough steps to be smoothed."""
    return len(curve.steps) >= SMOOTH_FROM


def draw_curve(ax: Axes, curve: Curve, colour: str, dash: str = "-", smoothed: bool = True) -> None:
    """A curve with its band; if `smoothed` and long enough, the bold line is a moving average."""
    if curve.seeds > 1:
        ax.fill_between(curve.steps, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
    if smoothed and is_long(curve):
        ax.plot(curve.steps, curve.mean, color=colour, alpha=0.35, linewidth=0.9)
        ax.plot(curve.steps, smooth(curve.mean, WINDOW), dash, color=colour, label=curve.label)
    else:
        marker = "" if is_long(curve) else "o"
        ax.plot(curve.steps, curve.mean, dash, color=colour, label=curve.label, marker=marker, markersize=3)


def step_axis(ax: Axes) -> None:
    """A step axis with whole numbers."""
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    ax.set_xlabel("training step")


def slug(text: str) -> str:
    """`text` as an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
