# SPDX-License-Identifier: Apache-2.0
"""Finding recipes and composing them into verl's configuration. Imports hydra, not verl: composing takes a second, not
ten."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml
from omegaconf import DictConfig

from klear_verl.cpu import environment
from klear_verl.errors import ConfigError, EnvironmentProblem
from klear_verl.launch.preflight.hydra_errors import explain_hydra_error

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
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise ConfigError(f"unknown recipe '{name}'", f"{hint}recipes: {', '.join(names)}; or give the path of a YAML file")


def verl_config_dir() -> Path:
    """verl's own configuration folder, found without importing verl."""
    spec = importlib.util.find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        raise EnvironmentProblem("verl is not installed", "pip install verl==0.9.1")
    return Path(spec.submodule_search_locations[0]) / "trainer" / "config"


def compose(recipe: str, overrides: Sequence[str] = (), *, kind: Literal["rl", "sft"]) -> DictConfig:
    """Composes a recipe with command-line overrides, in Hydra's syntax, over verl's defaults and this machine's
    platform.

    Raises:
        ConfigError: unknown recipe, unknown key (with the nearest valid one) or bad override syntax.
    """
    path = find_recipe(recipe)
    if (found := recipe_kind(path)) not in (kind, None):
        assert found is not None
        raise ConfigError(
            f"'{recipe}' is a recipe for `{COMMAND_OF[found]}`, not for `{COMMAND_OF[kind]}`",
            f"recipes for it: {', '.join(recipe_names(kind))}",
        )
    group = f"platform/{kind}"
    chosen = any(override.startswith(f"{group}=") for override in overrides)
    platform = [] if chosen else [f"{group}={'cpu' if environment.on_cpu() else 'gpu'}"]
    try:
        return _compose(path, [*platform, *overrides])
    except (
        Exception
    ) as error:  # hydra raises a dozen kinds, several of them not its own: here each is a bad recipe or override
        if platform and f"Could not override '{group}'" in str(error):
            raise ConfigError(
                f"'{recipe}' is not an {kind.upper()} recipe: it does not build on '{kind}'",
                "`klear train` runs RL recipes, `klear sft` SFT recipes, `klear eval` evaluations; "
                f"a recipe of your own begins with 'defaults: [{kind}, _self_]'",
            ) from error
        raise explain_hydra_error(error, _without_overrides(path, platform)) from error


def _compose(path: Path, overrides: list[str]) -> DictConfig:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    root = recipes_root()
    inside = path.is_relative_to(root)
    name = str(path.relative_to(root) if inside else path.name).removesuffix(".yaml")
    # Quoted: a folder's name may hold anything that Hydra's grammar gives a meaning to.
    quoted = ",".join('"' + f"file://{folder}".replace('"', '\\"') + '"' for folder in (root, verl_config_dir()))
    search_path = f"hydra.searchpath=[{quoted}]"
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_dir=str(root if inside else path.parent), version_base=None):
            return hydra_compose(name, overrides=[search_path, *overrides])
    finally:
        GlobalHydra.instance().clear()


def _without_overrides(path: Path, platform: list[str]) -> DictConfig | None:
    """The recipe as it stands, to find near names of a mistyped key in; None if the recipe itself does not compose."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        return _compose(path, platform)
    except (HydraException, OmegaConfBaseException, YAMLError):
        return None
