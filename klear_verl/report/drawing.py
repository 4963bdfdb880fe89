# SPDX-License-Identifier: Apache-2.0
"""How every picture is drawn: colours that colour-blind people can tell apart, figures small enough for a phone, panels
over one step axis, legends that hide nothing, bands, smoothing, and the way from a figure to SVG inside HTML.

What is drawn and why is charts.py's.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from klear_verl.report.schema import TrainingRun
from klear_verl.report.seeds import Curve, Stage, smooth

INK = "#1b1f24"
MUTED = "#5d6673"
GRID = "#e4e7eb"
ALARM = "#b42318"
# Okabe & Ito (2008), without the yellow that white swallows.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D", "#8C6D31", "#882255", "#44AA99")

# Inches at 72 px: about a phone's width, so that 9 pt text stays 9 pt there and grows on a desk.
WIDTH, HEIGHT = 5.0, 2.9

_RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#b5bcc6",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "text.color": INK,
    "text.parse_math": False,  # a "$" in a recipe's name is a "$"
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",  # text stays text: small, sharp, searchable
    "svg.hashsalt": "klear",
}


@dataclass(frozen=True)
class Chart:
    """A picture on the page. `reading` is the one sentence on how to read it; `svg` is ready for HTML."""

    title: str
    reading: str
    svg: str
    wide: bool = False


@contextmanager
def looks() -> Iterator[None]:
    """The style, for the figures made and saved inside."""
    with mpl.rc_context(_RC):
        yield


def figure(panels: int = 1, extra: float = 0.0) -> tuple[Figure, list[Axes]]:
    """A figure with `panels` axes stacked over one shared x axis, and `extra` inches of height for legends."""
    height = HEIGHT if panels == 1 else 1.75 * panels + 0.35
    fig = Figure(figsize=(WIDTH, height + extra), layout="constrained")
    axes = fig.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    return fig, list(axes)


def legend_above(ax: Axes, columns: int) -> None:
    """A legend over the axes, where no line can be hidden by it."""
    handles, labels = ax.get_legend_handles_labels()
    if labels:
        ax.legend(handles, labels, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, borderaxespad=0.2)


def to_svg(fig: Figure, label: str, prefix: str) -> str:
    """`fig` as an `<svg>` element that scales with its container.

    Args:
        fig: the figure.
        label: what a screen reader says.
        prefix: makes the ids unique within the page.
    """
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", svg)
    safe = label.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{safe}"', 1)


SMOOTH_FROM, WINDOW = 12, 5


@dataclass(frozen=True)
class Line:
    """One metric of a chart: the first of `names` that a run logged, times `scale`."""

    label: str
    names: tuple[str, ...]
    scale: float = 1.0
    colour: str | None = None

    def pick(self, run: TrainingRun) -> dict[int, float]:
        """The series of a run."""
        return {step: value * self.scale for step, value in run.metrics.get(*self.names).items()}


@dataclass(frozen=True)
class Panel:
    """One pair of axes: its y label with the unit, and what is drawn. Counts and schedules are not to be smoothed.

    `stacked` parts of a whole lie on top of each other, as areas; where runs are compared they are lines all the same.
    `covers` is the least that the y axis spans, so that rounding of a figure that never moves is not blown up.
    """

    ylabel: str
    lines: tuple[Line, ...]
    from_zero: bool = False
    covers: tuple[float, float] | None = None
    smoothed: bool = True
    stacked: bool = False


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
    areas = [panel.stacked and len(stage.lines) == 1 for panel, _ in filled]
    lines = [
        (panel, item.curve) for (panel, drawn), area in zip(filled, areas, strict=True) if not area for item in drawn
    ]
    seeds = max(item.curve.seeds for _, drawn in filled for item in drawn)
    with looks():
        # A legend is needed once, unless a panel has other lines than the one above it.
        names = [[item.curve.label for item in drawn] for _, drawn in filled]
        legends = [len(here) > 1 and here != above for here, above in zip(names, [[], *names], strict=False)]
        rows = sum(_rows(here) for here, shown in zip(names, legends, strict=True) if shown)
        fig, axes = figure(len(filled), extra=0.18 * max(0, rows - 1))
        for ax, (panel, drawn), legend, area in zip(axes, filled, legends, areas, strict=True):
            if area:
                draw_stack(ax, [(item.curve, item.colour) for item in drawn])
            for item in drawn if not area else ():
                draw_curve(ax, item.curve, item.colour, item.dash, panel.smoothed)
            if legend:
                legend_above(ax, _columns([item.curve.label for item in drawn]))
            ax.set_ylabel(panel.ylabel)
            if panel.from_zero:  # with room above a line that hardly moves
                ax.set_ylim(0, max(ax.get_ylim()[1], 1.04 * ax.dataLim.ymax))
            if panel.covers:
                low, high = min(panel.covers[0], ax.dataLim.ymin), max(panel.covers[1], ax.dataLim.ymax)
                ax.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))
            if max(map(abs, ax.get_ylim())) < 1e-3:  # a common factor would be written into the legend
                ax.yaxis.set_major_formatter("{x:.2g}")
        step_axis(axes[-1])
        if any(panel.smoothed and is_long(curve) for panel, curve in lines):
            reading += f" Thin: as logged; bold: mean of {WINDOW} steps."
        if seeds > 1 and lines:
            reading += f" Lines: mean of {seeds} seeds; shaded: lowest to highest."
        if seeds > 1 and any(areas):
            reading += f" Areas: mean of {seeds} seeds."
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


def draw_stack(ax: Axes, layers: Sequence[tuple[Curve, str]]) -> None:
    """Curves of one whole on top of each other, each in its colour and one step wide: a step that logged nothing is a
    gap, not a slope between its neighbours."""
    steps = sorted({float(step) for curve, _ in layers for step in curve.steps})
    edges: list[float] = []
    at_edge: list[float] = []  # the step whose value an edge has; NaN in a gap
    for number, step in enumerate(steps):
        if number and step - steps[number - 1] > 1:
            edges.append(np.nan)
            at_edge.append(np.nan)
        edges += [step - 0.5, step + 0.5]
        at_edge += [step, step]
    base = np.zeros(len(edges))
    for curve, colour in layers:
        values = dict(zip(curve.steps, curve.mean, strict=True))
        top = base + np.array([values.get(step, 0.0) for step in at_edge])
        ax.fill_between(edges, base, top, color=colour, label=curve.label, linewidth=0)
        base = top


def step_axis(ax: Axes) -> None:
    """A step axis with whole numbers."""
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    ax.set_xlabel("training step")


def slug(text: str) -> str:
    """`text` as an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
