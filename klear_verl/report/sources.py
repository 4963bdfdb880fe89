# SPDX-License-Identifier: Apache-2.0
"""Finds and reads what directories hold: training runs, evaluations, quickstarts, ablations. Draws nothing.

`metrics.jsonl` or `run.json` marks a training run, `result.json` an evaluation, `summary.json` a quickstart,
`ablation.json` ablations, whose runs then count as parts of them alone; each is looked for in the directory itself and
two levels below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from klear_verl.errors import DataError
from klear_verl.report.ablations import RECORD, Ablation, read_ablations
from klear_verl.report.schema import (
    BENCHMARKS_OF_A_MODEL,
    BenchmarkResult,
    EvalSummary,
    QuickstartSummary,
    read_object,
    validate,
)
from klear_verl.report.training_run import TrainingRun, read_run

DEPTH = 2
_MARKS = ("run.json", "metrics.jsonl", "result.json", "summary.json", RECORD)
_NOT_STAGES = ("eval", "seed", "versions")


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: model → benchmark → result, in the order of the file. `seed` and `versions` from its meta."""

    directory: Path
    results: dict[str, dict[str, BenchmarkResult]]
    seed: int | None = None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Quickstart:
    """The summary of one quickstart; its runs and its evaluation are listed with the others."""

    directory: Path
    summary: QuickstartSummary


@dataclass(frozen=True)
class Material:
    """Everything a report is made from."""

    runs: list[TrainingRun] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    quickstarts: list[Quickstart] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    ablations: list[Ablation] = field(default_factory=list)

    @property
    def all_runs(self) -> list[TrainingRun]:
        """Every run once, those of ablations included."""
        everywhere = [*self.runs, *(run for ablation in self.ablations for run in ablation.runs)]
        return list({run.directory.resolve(): run for run in everywhere}.values())


def discover(directories: Sequence[Path]) -> Material:
    """Reads everything reportable under `directories`; what is found twice is read once.

    Raises:
        DataError: a directory is missing or holds nothing reportable; a file in it is corrupt.
    """
    material = Material()
    seen: set[Path] = set()
    for top in directories:
        if not top.is_dir():
            problem = "is not a directory" if top.exists() else "no such directory"
            raise DataError(f"{top}: {problem}", "name a run, evaluation, quickstart or ablation directory")
        found = _marked(top)
        if not found:
            raise DataError(
                f"{top}: nothing to report: none of {', '.join(_MARKS)} in it or {DEPTH} levels below",
                "name the directory that `klear train`, `sft`, `eval`, `quickstart` or `ablate` wrote",
            )
        for place in found:
            if place.resolve() not in seen:
                seen.add(place.resolve())
                _read_into(material, place)
    return material


def _marked(top: Path) -> list[Path]:
    """The directories under `top` that hold something, without the runs that belong to an ablation."""
    found = [place for place in _walk(top, DEPTH) if any((place / mark).is_file() for mark in _MARKS)]
    owned = {place / "runs" for place in found if (place / RECORD).is_file()}
    return [place for place in found if place.parent not in owned]


def _walk(top: Path, depth: int) -> Iterator[Path]:
    yield top
    if depth:
        for child in sorted(path for path in top.iterdir() if path.is_dir()):
            yield from _walk(child, depth - 1)


def _read_into(material: Material, place: Path) -> None:
    if (place / "run.json").is_file() or (place / "metrics.jsonl").is_file():
        material.runs.append(read_run(place))
    if (place / "result.json").is_file():
        material.evaluations.append(_read_evaluation(place))
    if (place / "summary.json").is_file():
        quickstart = _read_quickstart(place)
        material.quickstarts.append(quickstart)
        # The evaluation's own file has intervals; the summary's figures are the fallback.
        if not any((child / "result.json").is_file() for child in _walk(place, DEPTH)):
            results = _results_of_summary(quickstart.summary.eval)
            if results:
                material.evaluations.append(Evaluation(place, results, quickstart.summary.seed))
    if (place / RECORD).is_file():
        material.ablations.extend(read_ablations(place))
    if (place / "samples.jsonl").is_file():
        material.samples.extend(_read_samples(place / "samples.jsonl"))


def _read_evaluation(place: Path) -> Evaluation:
    path = place / "result.json"
    content = read_object(path)
    meta = content.pop("meta", {})
    meta = meta if isinstance(meta, dict) else {}
    results = {
        model: validate(BENCHMARKS_OF_A_MODEL, benchmarks, f"{path}: {model}") for model, benchmarks in content.items()
    }
    return Evaluation(place, results, meta.get("seed"), meta.get("versions") or {})


def _read_quickstart(place: Path) -> Quickstart:
    path = place / "summary.json"
    content = read_object(path)
    stages = {name: stage for name, stage in content.items() if name not in _NOT_STAGES and isinstance(stage, dict)}
    known = {name: content[name] for name in _NOT_STAGES if name in content}
    return Quickstart(place, validate(QuickstartSummary, {"stages": stages, **known}, str(path)))


def _results_of_summary(summary: dict[str, EvalSummary]) -> dict[str, dict[str, BenchmarkResult]]:
    results: dict[str, dict[str, BenchmarkResult]] = {}
    for model, rates in summary.items():
        benchmarks = results.setdefault(model, {})
        if rates.math_avg_at_n is not None:
            benchmarks["math"] = BenchmarkResult(avg_at_n=rates.math_avg_at_n)
        if rates.code_avg_at_n is not None:
            benchmarks["code"] = BenchmarkResult(avg_at_n=rates.code_avg_at_n, pass_rate=rates.code_pass_rate)
    return {model: benchmarks for model, benchmarks in results.items() if benchmarks}


def _read_samples(path: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{number}: not JSON ({error.msg})", "delete this line") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: expected a JSON object", "delete this line")
        rows.append(row)
    return rows
