# SPDX-License-Identifier: Apache-2.0
"""Finding recipes and composing them into verl's configuration. Imports hydra, not verl: composing takes a second, not ten."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig

from klear_verl.cpu import environment
from klear_verl.errors import ConfigError, EnvironmentProblem
from klear_verl.trainer.preflight.hydra_errors import explain_hydra_error

NOT_RECIPES = {"platform"}
"""Folders of recipes/ that hold override groups."""


def recipes_root() -> Path:
    """The folder of packaged recipes: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for root in (package / "recipes", package.parent / "recipes"):
        if (root / "rl.yaml").is_file():
            return root
    raise EnvironmentProblem(f"the packaged recipes are missing from {package}", "reinstall klear-verl")


def recipe_names() -> list[str]:
    """Names of all packaged recipes, as `klear train` and the other commands take them."""
    root = recipes_root()
    names = (path.relative_to(root).with_suffix("") for path in root.rglob("*.yaml"))
    return sorted(str(name) for name in names if name.parts[0] not in NOT_RECIPES)


def find_recipe(name: str) -> Path:
    """The YAML file of a recipe: a packaged name such as `quickstart/math_rl`, or a path.

    Raises:
        ConfigError: neither exists; names the nearest packaged recipe.
    """
    for candidate in (recipes_root() / f"{name}.yaml", Path(name), Path(f"{name}.yaml")):
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
    """Composes a recipe with command-line overrides, in Hydra's syntax, over verl's defaults and this machine's platform.

    Raises:
        ConfigError: unknown recipe, unknown key (with the nearest valid one) or bad override syntax.
    """
    path = find_recipe(recipe)
    group = f"platform/{kind}"
    chosen = any(override.startswith(f"{group}=") for override in overrides)
    platform = [] if chosen else [f"{group}={'cpu' if environment.on_cpu() else 'gpu'}"]
    try:
        return _compose(path, [*platform, *overrides])
    except Exception as error:  # hydra raises a dozen kinds, several of them not its own: here each is a bad recipe or override
        raise explain_hydra_error(error, _without_overrides(path, platform)) from error


def _compose(path: Path, overrides: list[str]) -> DictConfig:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    root = recipes_root()
    inside = path.is_relative_to(root)
    name = str(path.relative_to(root) if inside else path.name).removesuffix(".yaml")
    search_path = f"hydra.searchpath=[file://{root},file://{verl_config_dir()}]"
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_dir=str(root if inside else path.parent), version_base=None):
            return hydra_compose(name, overrides=[search_path, *overrides])
    finally:
        GlobalHydra.instance().clear()


def _without_overrides(path: Path, platform: list[str]) -> DictConfig | None:
    """The recipe as it stands, to find near names of a mistyped key in; None if the recipe itself does not compose."""
    from hydra.errors import HydraException

    try:
        return _compose(path, platform)
    except HydraException:
        return None
