# SPDX-License-Identifier: Apache-2.0
"""The schema of an ablation's SPEC.yaml, and finding and reading one. Composes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, field_validator
from yaml import YAMLError

from klear_verl.errors import ConfigError
from klear_verl.launch.recipes import recipes_root
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
    `prepare` is the command that makes the model which all runs start from; it is told if that model is missing.
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


_REMEDY = "correct the spec; docs/commands/ablate.md describes its keys"


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
