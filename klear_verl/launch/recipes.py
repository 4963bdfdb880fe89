# SPDX-License-Identifier: Apache-2.0
"""Which recipes there are, where they lie, and which command each is for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml

from klear_verl.errors import ConfigError, EnvironmentProblem
from klear_verl.utils.config import closest

Kind = Literal["rl", "sft", "eval"]
COMMAND_OF: dict[Kind, str] = {"rl": "klear train", "sft": "klear sft", "eval": "klear eval"}

_VERL_BASES: dict[str, Kind] = {"ppo_trainer": "rl", "sft_trainer_engine": "sft"}

NOT_RECIPES = {"ablations", "loss", "platform", "size"}
"""Folders of recipes/ that hold override groups, or specifications for `klear ablate`."""


def recipes_root() -> Path:
    """The folder of packaged recipes: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for root in (package / "recipes", package.parent / "recipes"):
        if (root / "rl.yaml").is_file():
            return root
    raise EnvironmentProblem(f"the packaged recipes are missing from {package}", "reinstall klear-verl")


def recipe_names(kind: Kind | None = None) -> list[str]:
    """Names of the packaged recipes (of one kind), as the commands take them; a leading underscore marks a shared
    part."""
    root = recipes_root()
    paths = [path for path in root.rglob("*.yaml") if path.relative_to(root).parts[0] not in NOT_RECIPES]
    names = {str(path.relative_to(root).with_suffix("")): path for path in paths if not path.name.startswith("_")}
    return sorted(name for name, path in names.items() if kind is None or recipe_kind(path) == kind)


def recipe_kind(path: Path) -> Kind | None:
    """What a recipe is for: an evaluation has benchmarks, and a training recipe builds, over however many steps, on
    `rl` or `sft` or on verl's own configuration. None if it does neither."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}", "correct the recipe") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is not a mapping of keys", "see docs/commands/train.md for a recipe")
    if "benchmarks" in content:
        return "eval"
    for default in content.get("defaults") or []:
        if not isinstance(default, str) or default == "_self_":
            continue
        name = default.removeprefix("/")
        if name in _VERL_BASES:
            return _VERL_BASES[name]
        for folder in (path.parent, recipes_root()):
            base = folder / f"{name}.yaml"
            if base.is_file() and base != path and (kind := recipe_kind(base)):
                return kind
    return None


def find_recipe(name: str) -> Path:
    """The YAML file of a recipe: a packaged name such as `quickstart/math_rl`, or a path.

    Raises:
        ConfigError: neither exists; names the nearest packaged recipe.
    """
    for candidate in (recipes_root() / f"{name}.yaml", Path(name), Path(f"{name}.yaml")):
        if candidate.is_file() and candidate.suffix != ".yaml":
            raise ConfigError(f"{candidate} does not end in .yaml, and Hydra reads nothing else", "rename the recipe")
        if candidate.is_file():
            return candidate.resolve()
    names = recipe_names()
    near = closest(name, names, cutoff=0.4)
    hint = f"did you mean '{near}'? " if near else ""
    raise ConfigError(f"unknown recipe '{name}'", f"{hint}recipes: {', '.join(names)}; or give the path of a YAML file")
