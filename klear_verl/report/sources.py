# SPDX-License-Identifier: Apache-2.0
"""Finds and reads what directories hold: training runs, evaluations, quickstarts, ablations. Draws nothing.

`metrics.jsonl` or `run.json` marks a training run, `result.json` an evaluation, `summary.json` a quickstart,
`ablation.json` ablations, whose runs then count as parts of them alone; each is looked for in the directory itself and
two levels below.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from klear_verl.errors import DataError
from klear_verl.report.schema import (
    BENCHMARKS_OF_A_MODEL,
    AblationFile,
    BenchmarkResult,
    EvalSummary,
    QuickstartSummary,
    RecordedSpec,
    TrainingRun,
    read_object,
    read_run,
    validate,
)
from klear_verl.utils.metrics import Metrics

RECORD = "ablation.json"


@dataclass(frozen=True)
class ArmRun:
    """One arm's run with one seed. `run` is None where it has not begun; `detail` is why it failed."""

    seed: int
    status: str
    detail: str | None
    run: TrainingRun | None


@dataclass(frozen=True)
class ComparedArm:
    """One variant: its name, the overrides that make it, and its runs in the order of the seeds."""

    name: str
    overrides: tuple[str, ...]
    runs: tuple[ArmRun, ...]

    @property
    def finished(self) -> dict[int, TrainingRun]:
        """Seed → run, of the finished ones: what statistics are made of."""
        return {item.seed: item.run for item in self.runs if item.run and item.status == "finished"}

    @property
    def unfinished(self) -> dict[int, TrainingRun]:
        """Seed → run, of those that have begun and not finished."""
        return {item.seed: item.run for item in self.runs if item.run and item.status != "finished"}

    def by_seed(self, value: Callable[[Metrics], float | None]) -> dict[int, float]:
        """Seed → one figure of each finished run; runs without it are left out."""
        found = {seed: value(run.metrics) for seed, run in self.finished.items()}
        return {seed: figure for seed, figure in found.items() if figure is not None}


@dataclass(frozen=True)
class Ablation:
    """One comparison."""

    name: str
    spec: RecordedSpec
    arms: tuple[ComparedArm, ...]

    @property
    def runs(self) -> list[TrainingRun]:
        """All runs that have begun."""
        return [item.run for arm in self.arms for item in arm.runs if item.run]


def read_ablations(place: Path) -> list[Ablation]:
    """All comparisons in `place`, in the order in which they were made; a run that several share is read once.

    Raises:
        DataError: `ablation.json`, or a file of a run, is corrupt; names the file and the key.
    """
    path = place / RECORD
    content: AblationFile = validate(AblationFile, read_object(path), str(path))
    read: dict[str, TrainingRun | None] = {}
    for entry in content.ablations.values():
        for recorded in entry.arms.values():
            for item in recorded.runs.values():
                if item.dir not in read:
                    begun = any((place / item.dir / name).is_file() for name in ("run.json", "metrics.jsonl"))
                    read[item.dir] = read_run(place / item.dir) if begun else None
    return [
        Ablation(
            name,
            entry.spec,
            tuple(
                ComparedArm(
                    arm,
                    entry.spec.arms[arm].overrides if arm in entry.spec.arms else (),
                    tuple(
                        ArmRun(seed, _status(item.status, read[item.dir]), item.detail, read[item.dir])
                        for seed, item in recorded.runs.items()
                    ),
                )
                for arm, recorded in entry.arms.items()
            ),
        )
        for name, entry in content.ablations.items()
    ]


def _status(recorded: str, run: TrainingRun | None) -> str:
    """The run's own record is nearer to the truth than that of the command which started it, and may have died."""
    return run.info.status if run and run.info else recorded


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
