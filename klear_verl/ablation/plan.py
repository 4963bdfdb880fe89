# SPDX-License-Identifier: Apache-2.0
"""The runs that a spec asks for. An arm is known by its composed configuration, so that specs which share an arm (and
--out) share its runs, whatever they call it. Starts nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from klear_verl.ablation.spec import SEED_KEYS, AblationSpec
from klear_verl.errors import ConfigError, KlearError
from klear_verl.launch.compose import compose
from klear_verl.launch.preflight.run import rl_problems
from klear_verl.launch.run_dir import RunDir

MODEL_KEY = "actor_rollout_ref.model.path"
_ELSEWHERE = "klear.run_dir=RUN_DIR"
"""Where a run lies is no part of what it computes."""


@dataclass(frozen=True)
class PlannedArm:
    """One arm: `overrides` are the spec's followed by its own; `digest` names the composed configuration but for seed
    and place."""

    name: str
    recipe: str
    overrides: tuple[str, ...]
    digest: str
    config: DictConfig


@dataclass(frozen=True)
class PlannedRun:
    """One arm with one seed, in a directory of its own."""

    arm: PlannedArm
    seed: int
    directory: Path

    @property
    def title(self) -> str:
        """As a person says it."""
        return f"{self.arm.name} seed {self.seed}"

    @property
    def arguments(self) -> list[str]:
        """What follows `klear train`."""
        quoted = str(self.directory.absolute()).replace("\\", "\\\\").replace('"', '\\"')
        return [self.arm.recipe, *self.arm.overrides, *_seeds(self.seed), f'klear.run_dir="{quoted}"']

    @property
    def is_finished(self) -> bool:
        """Whether an earlier call, of this spec or of another, has finished it.

        Raises:
            DataError: the directory's run.json is damaged.
        """
        record = RunDir(self.directory).previous()
        return record is not None and record.status == "finished"


def plan_arms(spec: AblationSpec) -> list[PlannedArm]:
    """Composes every arm.

    Raises:
        ConfigError: an unknown recipe or key (naming the arm), or two arms with the same configuration.
    """
    arms: list[PlannedArm] = []
    for name, arm in spec.arms.items():
        recipe, overrides = arm.recipe or spec.recipe, (*spec.overrides, *arm.overrides)
        try:
            config = compose(recipe, [*overrides, *_seeds(0), _ELSEWHERE], kind="rl")
        except ConfigError as error:
            raise ConfigError(f"arm '{name}': {error.what}", error.remedy) from error
        digest = config_digest(config)
        if twin := next((other.name for other in arms if other.digest == digest), None):
            raise ConfigError(
                f"arms '{twin}' and '{name}' have the same configuration",
                "leave one out, or correct its overrides: they change nothing",
            )
        arms.append(PlannedArm(name, recipe, overrides, digest, config))
    return arms


def plan_runs(spec: AblationSpec, arms: Sequence[PlannedArm], out: Path) -> list[PlannedRun]:
    """All runs, seed by seed, so that a grid cut short still compares all arms on the seeds it has."""
    return [PlannedRun(arm, seed, _directory(out, arm, seed)) for seed in spec.seeds for arm in arms]


def check_start_model(spec: AblationSpec, arms: Sequence[PlannedArm]) -> None:
    """Looks for the model that the spec's `prepare` makes.

    Raises:
        ConfigError: it is missing; the remedy is that command.
    """
    for arm in arms:
        path = str(OmegaConf.select(arm.config, MODEL_KEY))
        if spec.prepare and not Path(path).expanduser().exists():
            raise ConfigError(f"the model that the runs start from is missing: {path}", f"run first: {spec.prepare}")


def check_arms(arms: Sequence[PlannedArm]) -> None:
    """Makes the checks of `klear train` for every arm, before the first run.

    Raises:
        KlearError: what `klear train` would refuse; problems that arms share are told once.
    """
    problems: dict[str, tuple[KlearError, list[str]]] = {}
    for arm in arms:
        for problem in rl_problems(arm.config)[0]:
            problems.setdefault(str(problem), (problem, []))[1].append(arm.name)
    if not problems:
        return
    listed = "\n".join(
        f"  {'all arms' if len(names) == len(arms) else ', '.join(names)}: {problem}".replace("\n", "\n  ")
        for problem, names in problems.values()
    )
    first = next(iter(problems.values()))[0]
    raise type(first)(f"nothing was started:\n{listed}") from first


def config_digest(config: DictConfig) -> str:
    """Ten hexadecimal digits that name a resolved configuration."""
    values = OmegaConf.to_container(config, resolve=True)
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:10]


def _seeds(seed: int) -> list[str]:
    return [f"{key}={seed}" for key in SEED_KEYS]


def _directory(out: Path, arm: PlannedArm, seed: int) -> Path:
    """The directory of a run, under whichever arm's name it was first made."""
    made = sorted((out / "runs").glob(f"*-{arm.digest}-seed{seed}"))
    return made[0] if made else out / "runs" / f"{arm.name}-{arm.digest}-seed{seed}"
