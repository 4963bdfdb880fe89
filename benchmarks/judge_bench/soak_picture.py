# SPDX-License-Identifier: Apache-2.0
"""The curves of a long run: memory of each process, and what is counted."""

from __future__ import annotations

from pathlib import Path

from klear_verl.report.drawing import PALETTE, figure, legend_above, looks

from .sampling import Moment


def draw(moments: list[Moment], path: Path) -> None:
    """Writes the picture, in the format that the path's suffix names."""
    runs = [moment.runs / 1000 for moment in moments]
    names = list(moments[0].zygotes)
    with looks():
        fig, (memory, counts) = figure(2, extra=0.5)
        memory.plot(runs, [moment.supervisor.rss_mib for moment in moments], color=PALETTE[1], label="supervisor")
        for number, name in enumerate(names):
            points = [(x, m.zygotes[name].rss_mib) for x, m in zip(runs, moments, strict=True) if name in m.zygotes]
            dash = ("-", "--", ":")[number % 3]
            memory.plot(*zip(*points, strict=True), dash, color=PALETTE[(2 + number) % 10], label=f"zygote {name}")
        memory.set_ylabel("resident MiB")
        memory.set_ylim(bottom=0)
        legend_above(memory, 3)
        counted = {
            "descriptors": [moment.supervisor.descriptors or 0 for moment in moments],
            "processes": [moment.processes for moment in moments],
            "leaks": [len(moment.leaks) for moment in moments],
        }
        for number, (name, values) in enumerate(counted.items()):
            counts.plot(runs, values, color=PALETTE[(0, 4, 6)[number]], label=name)
        counts.set_ylabel("number")
        counts.set_ylim(bottom=-0.5)
        counts.set_xlabel("thousand solutions")
        legend_above(counts, 3)
        fig.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
