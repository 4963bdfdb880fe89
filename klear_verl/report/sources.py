# SPDX-License-Identifier: Apache-2.0
"""Finds and reads what directories hold: training runs, evaluations, quickstarts. Draws nothing.

`metrics.jsonl` or `run.json` marks a training run, `result.json` an evaluation, `summary.json` a quickstart; each is
looked for in the directory itself and two levels below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from klear_verl.errors import DataError
from klear_verl.report.metrics import Metrics, read_metrics
from klear_verl.report.schema import (
    BENCHMARKS_OF_A_MODEL,
    BenchmarkResult,
    EvalSummary,
    QuickstartSummary,
    RunInfo,
    read_object,
    validate,
)

DEPTH = 2
_MARKS = ("run.json", "metrics.jsonl", "result.json", "summary.json")
_NOT_STAGES = ("eval", "seed", "versions")


@dataclass(frozen=True)
class TrainingRun:
    """One training run. `info` is None for a bare verl run (no `run.json`); `config` is None without `config.yaml`."""

    directory: Path
    info: RunInfo | None
    metrics: Metrics
    config: DictConfig | None = None

    @property
    def kind(self) -> str:
        """`rl` or `sft`."""
        if self.info:
            return self.info.kind
        return "sft" if self.metrics.get("train/loss") else "rl"

    @property
    def recipe(self) -> str:
        """The recipe's name; the file's stem where it was given by path, so that no path of a machine is shown."""
        name = self.info.recipe if self.info else self.directory.name
        return Path(name).stem if name.endswith((".yaml", ".yml")) or name.startswith("/") else name


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
            raise DataError(f"{top}: {problem}", "name a run, evaluation or quickstart directory")
        found = [place for place in _walk(top, DEPTH) if any((place / mark).is_file() for mark in _MARKS)]
        if not found:
            raise DataError(
                f"{top}: nothing to report: none of {', '.join(_MARKS)} in it or {DEPTH} levels below",
                "name the directory that `klear train`, `klear sft`, `klear eval` or `klear quickstart` wrote",
            )
        for place in found:
            if place.resolve() not in seen:
                seen.add(place.resolve())
                _read_into(material, place)
    return material


def _walk(top: Path, depth: int) -> Iterator[Path]:
    yield top
    if depth:
        for child in sorted(path for path in top.iterdir() if path.is_dir()):
            yield from _walk(child, depth - 1)


def _read_into(material: Material, place: Path) -> None:
    if (place / "run.json").is_file() or (place / "metrics.jsonl").is_file():
        material.runs.append(_read_run(place))
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
    if (place / "samples.jsonl").is_file():
        material.samples.extend(_read_samples(place / "samples.jsonl"))


def _read_run(place: Path) -> TrainingRun:
    info = place / "run.json"
    config = place / "config.yaml"
    return TrainingRun(
        directory=place,
        info=validate(RunInfo, read_object(info), str(info)) if info.is_file() else None,
        metrics=read_metrics(*_attempts(place)),
        config=_read_config(config) if config.is_file() else None,
    )


def _attempts(place: Path) -> list[Path]:
    # A continued run puts the metrics of its earlier attempts aside as metrics.1.jsonl, metrics.2.jsonl, …
    earlier = [path for path in place.glob("metrics.*.jsonl") if path.suffixes[0][1:].isdecimal()]
    latest = place / "metrics.jsonl"
    return [*sorted(earlier, key=lambda path: int(path.suffixes[0][1:])), *([latest] if latest.is_file() else [])]


def _read_config(path: Path) -> DictConfig:
    try:
        config = OmegaConf.load(path)
    except (OSError, YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
        raise DataError(f"{path}: not readable as YAML ({error})", "restore the file, or delete it") from error
    if not isinstance(config, DictConfig):
        raise DataError(f"{path}: expected a mapping of options", "restore the file, or delete it")
    return config


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
