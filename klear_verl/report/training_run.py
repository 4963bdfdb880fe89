# SPDX-License-Identifier: Apache-2.0
"""One training run as its directory has it: record, metrics of all its attempts, configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from klear_verl.errors import DataError
from klear_verl.report.schema import RunInfo, read_object, validate
from klear_verl.utils.metrics import Metrics, read_run_metrics


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


def read_run(place: Path) -> TrainingRun:
    """The run in `place`.

    Raises:
        DataError: a file of it is corrupt; names the file.
    """
    info = place / "run.json"
    config = place / "config.yaml"
    return TrainingRun(
        directory=place,
        info=validate(RunInfo, read_object(info), str(info)) if info.is_file() else None,
        metrics=read_run_metrics(place),
        config=_read_config(config) if config.is_file() else None,
    )


def _read_config(path: Path) -> DictConfig:
    try:
        config = OmegaConf.load(path)
    except (OSError, YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
        raise DataError(f"{path}: not readable as YAML ({error})", "restore the file, or delete it") from error
    if not isinstance(config, DictConfig):
        raise DataError(f"{path}: expected a mapping of options", "restore the file, or delete it")
    return config
