# SPDX-License-Identifier: Apache-2.0
"""The comparisons that `klear ablate` made in a directory: which runs belong to which arm, as `ablation.json` says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from klear_verl.report.schema import AblationFile, AblationSpec, read_object, validate
from klear_verl.report.training_run import TrainingRun, read_run
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
class Arm:
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
    spec: AblationSpec
    arms: tuple[Arm, ...]

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
                Arm(
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
