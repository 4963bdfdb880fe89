# SPDX-License-Identifier: Apache-2.0
"""What an ablation's SPEC.yaml may say, and the runs that it asks for.

An arm is known by its composed configuration, so that specs which share an arm (and --out) share its runs, whatever
they call it. Starts nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, field_validator
from yaml import YAMLError

from klear_verl.errors import ConfigError, KlearError
from klear_verl.launch.compose import compose
from klear_verl.launch.preflight.run import rl_problems
from klear_verl.launch.recipes import recipes_root
from klear_verl.launch.run_dir import RunDir
from klear_verl.utils.config import StrictModel, closest, parse_config

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
"""Names become parts of paths."""

Picture = Literal[
    "training",
    "held_out",
    "grad_norm",
    "entropy",
    "ppo_kl",
    "response_length",
    "wasted",
    "positive_lm_loss",
    "clip_regions",
    "clipped_entropy",
]

SEED_KEYS = ("data.seed", "actor_rollout_ref.actor.data_loader_seed", "actor_rollout_ref.rollout.seed")
"""What a seed of the spec sets: the order of the prompts, of the mini-batches, and the samples drawn."""

MODEL_KEY = "actor_rollout_ref.model.path"
_ELSEWHERE = "klear.run_dir=RUN_DIR"
"""Where a run lies is no part of what it computes."""
_REMEDY = "correct the spec; docs/commands/ablate.md describes its keys"

_DECIDED_HERE = {
    "klear.run_dir": "each run gets a directory of its own below --out",
    **dict.fromkeys(SEED_KEYS, "'seeds' decides it"),
}


class Arm(StrictModel):
    """One variant: Hydra overrides on top of the spec's own, and, where they don't suffice, another recipe."""

    overrides: tuple[str, ...] = ()
    recipe: str | None = None


class Figure(StrictModel):
    """What `klear report` draws.

    `training` is the metric of the responses sampled in training that stands for progress, `klear/<training>`: where
    the arms differ in how a response is rewarded, their rewards don't compare, and `acc` or `pass_rate` does.
    """

    show: tuple[Picture, ...] = Field(
        default=("training", "held_out", "grad_norm", "clip_regions", "clipped_entropy"), min_length=1
    )
    training: Literal["reward", "task_score", "acc", "pass_rate"] = "reward"


class AblationSpec(StrictModel):
    """A grid of arms and seeds over one recipe.

    `title` and `about` head its part of the report. The first arm is the one that the others are compared with.
    `prepare` is the command that makes the model which all runs start from; the user is told to run it if that model is
    missing.
    """

    name: Name
    title: str
    about: str = ""
    recipe: str
    overrides: tuple[str, ...] = ()
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 1, 2), min_length=1)
    arms: dict[Name, Arm] = Field(min_length=1)
    prepare: str | None = None
    figure: Figure = Figure()

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("the same seed twice is the same run twice")
        return seeds


def spec_names() -> list[str]:
    """Names of the packaged specs, as `klear ablate` takes them."""
    return sorted(path.stem for path in (recipes_root() / "ablations").glob("*.yaml"))


def find_spec(name: str) -> Path:
    """The YAML file of a spec: a packaged name such as `policy_loss`, or a path.

    Raises:
        ConfigError: neither exists; names the nearest packaged spec.
    """
    for candidate in (recipes_root() / "ablations" / f"{name}.yaml", Path(name), Path(f"{name}.yaml")):
        if candidate.is_file():
            return candidate
    names = spec_names()
    near = closest(name, names, cutoff=0.4)
    hint = f"did you mean '{near}'? " if near else ""
    raise ConfigError(f"unknown ablation '{name}'", f"{hint}specs: {', '.join(names)}; or give the path of a YAML file")


def load_spec(path: Path) -> AblationSpec:
    """Reads and checks a spec. Interpolations in its overrides are left to Hydra, those in `prepare` are resolved.

    Raises:
        ConfigError: not YAML, an unknown, missing or ill-typed key, or an override of what the spec decides itself;
        names the file and the key.
    """
    try:
        loaded = OmegaConf.load(path)
        content: Any = OmegaConf.to_container(loaded, resolve=False)
        if not isinstance(content, dict):
            raise ConfigError("not a mapping of keys")
        content |= {"arms": _arms(content.get("arms")), "prepare": OmegaConf.select(loaded, "prepare")}
        spec = parse_config(AblationSpec, content, "")
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", _REMEDY) from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.what}", _REMEDY) from error
    _refuse_decided(spec, path)
    return spec


def override_key(override: str) -> str:
    """The key that a Hydra override sets, adds or deletes."""
    return override.lstrip("+~").split("=", 1)[0]


def _arms(arms: Any) -> Any:
    """Checks each arm on its own, because a key inside a mapping of free names has no nearest valid key otherwise."""
    if not isinstance(arms, dict):
        return arms
    for name, arm in arms.items():
        if arm is not None and not isinstance(arm, dict):
            raise ConfigError(f"arms.{name}: expected a mapping with 'overrides' or 'recipe', found {arm!r}")
        parse_config(Arm, arm, f"arms.{name}")
    return {name: arm or {} for name, arm in arms.items()}


def _refuse_decided(spec: AblationSpec, path: Path) -> None:
    everywhere = {"": spec.overrides, **{f"arms.{name}.": arm.overrides for name, arm in spec.arms.items()}}
    for where, overrides in everywhere.items():
        for override in overrides:
            if reason := _DECIDED_HERE.get(override_key(override)):
                raise ConfigError(f"{path}: {where}overrides: '{override}'", f"leave it out: {reason}")


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
        KlearError: what `klear train` would refuse; problems that several arms share are listed once.
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
