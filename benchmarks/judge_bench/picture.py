# SPDX-License-Identifier: Apache-2.0
"""The picture of a run: what a test costs with each judge, by imports and by behaviour."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from klear_verl.report.drawing import INK, MUTED, PALETTE, WIDTH, looks

from .plan import Cell, Plan
from .rounds import Results

BARS = {
    "fresh": ("fresh process per test", PALETTE[4]),
    "prime_code": ("verl prime_code", PALETTE[1]),
    "ours": ("ours, a fork per test", PALETTE[0]),
    "fork": ("limit of that: fork and exit", PALETTE[6]),
    "ours_solution": ("ours, a child per solution", PALETTE[5]),
    "in_process": ("in process, no isolation", PALETTE[2]),
}


def draw(plan: Plan, results: Results, path: Path) -> None:
    """Writes the picture, in the format that the path's suffix names."""
    sizes = sorted({cell.tests for cell in plan.cells})
    by_imports = [cell for cell in plan.cells if cell.behaviour == "right" and cell.tests == sizes[0]]
    by_behaviour = [cell for cell in plan.cells if cell.imports == "std" and cell.behaviour != "right"]
    panels = [
        (f"Right solutions, {sizes[0]} tests, by imports", by_imports, [cell.imports for cell in by_imports]),
        (
            "Standard imports, by behaviour and number of tests",
            by_behaviour,
            [f"{cell.behaviour}\n{cell.tests}" for cell in by_behaviour],
        ),
    ]
    with looks():
        fig = Figure(figsize=(1.6 * WIDTH, 6.4), layout="constrained")
        axes = fig.subplots(2, 1)
        for ax, (title, cells, labels) in zip(axes, panels, strict=True):
            _bars(ax, results, cells, labels)
            ax.set_title(title, loc="left")
        handles, names = axes[0].get_legend_handles_labels()
        fig.legend(handles, names, loc="outside upper left", ncols=3)
        fig.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _bars(ax: Axes, results: Results, cells: list[Cell], labels: list[str]) -> None:
    measured = {
        name: [(place, ms) for place, cell in enumerate(cells) if (ms := results.ms(cell, (name, 1))) is not None]
        for name in BARS
    }
    measured = {name: points for name, points in measured.items() if points}
    width = 0.86 / max(1, len(measured))
    for number, (name, points) in enumerate(measured.items()):
        label, colour = BARS[name]
        lefts = [place + (number - len(measured) / 2 + 0.5) * width for place, _ in points]
        bars = ax.bar(lefts, [ms for _, ms in points], 0.9 * width, color=colour, label=label)
        ax.bar_label(bars, [_short(ms) for _, ms in points], padding=1, fontsize=6, color=INK)
    ax.set_yscale("log")
    highest = max((ms for points in measured.values() for _, ms in points), default=1.0)
    ax.set_ylim(0.01, 3 * highest)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel("ms of one core per test (log)", color=MUTED)
    ax.set_xticks(range(len(cells)), labels)


def _short(ms: float) -> str:
    return f"{ms:.0f}" if ms >= 10 else f"{ms:.1f}" if ms >= 1 else f"{ms:.2f}".lstrip("0")
