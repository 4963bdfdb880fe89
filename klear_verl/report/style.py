# SPDX-License-Identifier: Apache-2.0
"""How every picture looks: colours that colour-blind people can tell apart, and figures small enough for a phone.

Also the way from a matplotlib figure to SVG inside HTML. Knows nothing of runs."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
