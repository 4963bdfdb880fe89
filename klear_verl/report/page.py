# SPDX-License-Identifier: Apache-2.0
"""Puts the page together: what is said first, which pictures follow, and the alarms, which come before all else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources

import jinja2
import numpy as np

from klear_verl.report import comparisons, tables
from klear_verl.report.charts import RL_CHARTS, SFT_CHARTS
from klear_verl.report.drawing import Chart, slug
from klear_verl.report.held_out import STAGES, HeldOutBenchmark, accuracy, benchmarks
from klear_verl.report.schema import TrainingRun
from klear_verl.report.seeds import TITLES, Stage, group
from klear_verl.report.sources import Ablation, Evaluation, Material
from klear_verl.report.tables import Table


@dataclass(frozen=True)
class Tile:
    """One figure in large type: before, after, and what it is."""

    label: str
    before: str
    after: str


@dataclass(frozen=True)
class Section:
    """A part of the page: perhaps a table that says it all and how to read it; pictures; tables to unfold, by title."""

    id: str
    title: str
    intro: str
    charts: list[Chart]
    outcome: Table | None = None
    note: str = ""
    details: dict[str, Table] = field(default_factory=dict)


def render(material: Material, title: str) -> str:
    """The whole page as one HTML document that loads nothing from anywhere."""
    stages = group(material.runs)
    marks = benchmarks(material.evaluations)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        resources.files(__package__).joinpath("templates/page.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        title=title,
        lead=_lead(material, stages),
        alarms=alarms(stages, material.evaluations, material.ablations),
        tiles=_tiles(stages, marks),
        held_out=[accuracy(benchmark) for benchmark in marks],
        held_out_table=tables.held_out(marks),
        ablations=[_ablation(ablation) for ablation in material.ablations],
        runs=_runs(material, stages),
        sections=[section for stage in stages if (section := _section(stage))],
        versions=tables.versions(material),
        configuration=tables.configuration(stages),
        samples=tables.samples(material.samples),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _lead(material: Material, stages: Sequence[Stage]) -> str:
    """One sentence: what ran, with which seeds, for how long."""
    parts = []
    names = [stage.title for stage in stages]
    if names:
        parts.append(" → ".join(names))
    if material.ablations:
        parts.append(f"{len(material.ablations)} ablation{'s' if len(material.ablations) > 1 else ''}")
    if not parts and material.evaluations:
        parts.append("Evaluation")
    everywhere = [run.info.seed for run in material.all_runs if run.info]
    everywhere += [evaluation.seed for evaluation in material.evaluations]
    everywhere += [quickstart.summary.seed for quickstart in material.quickstarts]
    seeds = sorted({seed for seed in everywhere if seed is not None})
    if seeds:
        parts.append(f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}")
    walls = [run.info.wall_s for run in material.all_runs if run.info and run.info.wall_s is not None]
    if walls:
        parts.append(f"{tables.duration(sum(walls))} of training")
    return " · ".join(parts)


def alarms(stages: Sequence[Stage], evaluations: Sequence[Evaluation], ablations: Sequence[Ablation] = ()) -> list[str]:
    """Everything that makes the pictures below less than the truth; shown in red, first."""
    found = []
    for stage in stages:
        for run in stage.runs:
            seed = run.info.seed if run.info else None
            where = f"{stage.title} ({run.directory.name if seed is None else f'seed {seed}'})"
            if run.info and run.info.status in ("failed", "interrupted"):
                found.append(f"{where} {run.info.status} after {run.metrics.last_step} steps.")
            found += _failures(where, run)
    for ablation in ablations:
        for arm in ablation.arms:
            for item in arm.runs:
                where = f"{ablation.spec.title}, {arm.name} (seed {item.seed})"
                if item.status != "finished":
                    reason = f": {item.detail.splitlines()[0]}" if item.detail and item.status == "failed" else ""
                    found.append(f"{where} is not finished and counts nowhere ({item.status}{reason}).")
                if item.run:
                    found += _failures(where, item.run)
    for evaluation in evaluations:
        for model, results in evaluation.results.items():
            found += [
                f"{benchmark}, {STAGES.get(model, model)}: {result.ungraded} responses could not be scored."
                for benchmark, result in results.items()
                if result.ungraded
            ]
    return found


def _failures(where: str, run: TrainingRun) -> list[str]:
    found = []
    for metric, what in _FAILURES.items():
        counts = run.metrics.get(metric)
        bad = {step: count for step, count in counts.items() if count > 0}
        if bad:
            worst = max(bad, key=lambda step: bad[step])
            found.append(
                f"{where}: {sum(bad.values()):.0f} responses {what}, in {len(bad)} of {len(counts)} steps; "
                f"worst {bad[worst]:.0f} at step {worst}."
            )
    return found


_FAILURES = {
    "klear/ungraded": "could not be scored (ungraded)",
    "klear/lost_rollouts": "were lost to errors in generating or scoring",
}


def _tiles(stages: Sequence[Stage], marks: Sequence[HeldOutBenchmark]) -> list[Tile]:
    found = []
    for benchmark in marks:
        if benchmark.is_pipeline:
            first, last = benchmark.models[0], benchmark.models[-1]
            label = f"held-out {benchmark.name}, {benchmark.metric}"
            found.append(Tile(label, f"{benchmark.mean(first):.0f} %", f"{benchmark.mean(last):.0f} %"))
    for stage in stages:
        ends = [pair for run in stage.runs if (pair := tables.first_last(run))]
        if ends and len(stage.lines) == 1:
            first, last = (f"{float(np.mean(side)):.2f}".replace("-", "−") for side in zip(*ends, strict=True))
            found.append(Tile(f"{stage.title} {'loss' if stage.kind == 'sft' else 'reward'}", first, last))
    return found


def _runs(material: Material, stages: Sequence[Stage]) -> Table:
    if stages or not material.quickstarts:
        return tables.runs(stages)
    return tables.summaries(
        {
            TITLES.get(name, name): stage
            for found in material.quickstarts
            for name, stage in found.summary.stages.items()
        }
    )


def _section(stage: Stage) -> Section | None:
    makers = SFT_CHARTS if stage.kind == "sft" else RL_CHARTS
    charts = [chart for make in makers if (chart := make(stage)) is not None]
    if not charts:
        return None
    recipe = "" if stage.title == stage.recipe else f"Recipe {stage.recipe}"
    return Section(slug(f"{stage.kind}-{stage.recipe}"), stage.title, recipe, charts)


def _ablation(ablation: Ablation) -> Section:
    details = {"What the arms change": comparisons.changes(ablation), "The runs": comparisons.runs(ablation)}
    return Section(
        slug(f"ablation-{ablation.name}"),
        ablation.spec.title,
        ablation.spec.about,
        comparisons.charts(ablation),
        comparisons.outcome(ablation),
        comparisons.note(ablation),
        details,
    )
