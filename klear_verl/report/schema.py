# SPDX-License-Identifier: Apache-2.0
"""The files that other commands write, as far as the report reads them: JSON records, and a training run as a whole.

Keys that the report does not know are ignored: a newer command may write more. Keys that it needs are checked, and a
file that lacks them is an error naming the file and the key. Nothing here draws.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from yaml import YAMLError

from klear_verl.errors import DataError
from klear_verl.utils.config import FrozenModel
from klear_verl.utils.metrics import Metrics, read_run_metrics

REWARD = ("klear/reward", "critic/score/mean", "critic/rewards/mean")
"""The mean reward of a step: of all responses sampled, as our trainer logs it, or of those that verl trained on."""

Status = Literal["running", "finished", "failed", "interrupted"]


class RunInfo(FrozenModel):
    """`run.json` of a training run. `wall_s` is None while the run is going on."""

    kind: Literal["rl", "sft"]
    recipe: str
    seed: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    started: str | None = None
    wall_s: float | None = None
    status: Status
    steps: int = 0


class BenchmarkResult(FrozenModel):
    """One model on one benchmark. Rates are fractions in [0, 1]; the interval is a bootstrap over problems (95 %).

    `avg_at_n` is None where not a single response could be graded.
    """

    avg_at_n: float | None
    avg_at_n_ci95: tuple[float, float] | None = None
    n: int | None = None
    problems: int | None = None
    pass_at_k: dict[str, float | None] = Field(default_factory=dict)
    pass_rate: float | None = None
    malformed: int = 0
    ungraded: int = 0
    truncated: int = 0
    mean_tokens: float | None = None


class StageSummary(FrozenModel):
    """One stage in a quickstart's `summary.json`: rewards for RL stages, losses for SFT."""

    reward_first: float | None = None
    reward_last: float | None = None
    loss_first: float | None = None
    loss_last: float | None = None
    steps: int = 0
    wall_s: float | None = None


class EvalSummary(FrozenModel):
    """Held-out rates of one checkpoint in a quickstart's `summary.json`."""

    math_avg_at_n: float | None = None
    code_avg_at_n: float | None = None
    code_pass_rate: float | None = None


class QuickstartSummary(FrozenModel):
    """`summary.json` of a quickstart, with its stages (sft, math_rl, code_rl) gathered under `stages`."""

    stages: dict[str, StageSummary]
    eval: dict[str, EvalSummary] = Field(default_factory=dict)
    seed: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)


class AblationArm(FrozenModel):
    """What an arm changes, in a spec."""

    overrides: tuple[str, ...] = ()
    recipe: str | None = None


class AblationFigure(FrozenModel):
    """What to draw of an ablation. Names that this report does not know are not drawn."""

    show: tuple[str, ...] = ()
    training: str = "reward"


class RecordedSpec(FrozenModel):
    """The spec of an ablation, as `klear ablate` read it."""

    title: str
    about: str = ""
    recipe: str
    overrides: tuple[str, ...] = ()
    arms: dict[str, AblationArm]
    figure: AblationFigure = AblationFigure()


class AblationRun(FrozenModel):
    """One run of an ablation; `dir` is relative to the file."""

    dir: str
    status: str
    detail: str | None = None


class AblationRuns(FrozenModel):
    """The runs of one arm by seed."""

    runs: dict[int, AblationRun]


class AblationEntry(FrozenModel):
    """One ablation of a directory."""

    spec: RecordedSpec
    arms: dict[str, AblationRuns]


class AblationFile(FrozenModel):
    """`ablation.json`: the ablations of a directory by name."""

    ablations: dict[str, AblationEntry]


BENCHMARKS_OF_A_MODEL: TypeAdapter[dict[str, BenchmarkResult]] = TypeAdapter(dict[str, BenchmarkResult])

T = TypeVar("T")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        DataError: the file is unreadable, is not JSON (with line and column), or holds something else than an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", "check the file's permissions") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start})", _WRITE_AGAIN) from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}:{error.colno}: not JSON ({error.msg})", _WRITE_AGAIN) from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected a JSON object, found {type(value).__name__}", _WRITE_AGAIN)
    return value


def validate(adapter: TypeAdapter[T] | type[BaseModel], value: Any, where: str) -> Any:
    """`value` checked against a model.

    Raises:
        DataError: names `where` (a file, perhaps with a key) and each key that is missing or ill-typed.
    """
    try:
        return adapter.validate_python(value) if isinstance(adapter, TypeAdapter) else adapter.model_validate(value)
    except ValidationError as error:
        complaints = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or '(top)'}: {item['msg']}"
            for item in error.errors(include_url=False)
        )
        raise DataError(f"{where}: {complaints}", _WRITE_AGAIN) from error


_WRITE_AGAIN = "run the command that wrote it again, or leave its directory out of the report"


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
