# SPDX-License-Identifier: Apache-2.0
"""The README picture: one wide PNG with held-out accuracy per stage and the reward curves of a quickstart."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from klear_verl.errors import DataError
from klear_verl.report.curves import group
from klear_verl.report.held_out import benchmarks, draw_accuracy
from klear_verl.report.panels import draw_curve, step_axis
from klear_verl.report.sources import discover
from klear_verl.report.style import PALETTE, legend_above, looks
from klear_verl.report.training_run import TrainingRun
from klear_verl.utils.files import replacing
from klear_verl.utils.metrics import REWARD


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
