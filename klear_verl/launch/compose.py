# SPDX-License-Identifier: Apache-2.0
"""Composes a recipe with the defaults of our schemas, verl's own configuration and the user's overrides, and explains
what Hydra says against it. Imports Hydra, not verl: composing takes a second, not ten."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)
from yaml import MarkedYAMLError, YAMLError

from klear_verl.algorithm.options import GPPOOptions
from klear_verl.cpu import environment
from klear_verl.errors import ConfigError, EnvironmentProblem, KlearError
from klear_verl.launch.recipes import COMMAND_OF, find_recipe, recipe_kind, recipe_names, recipes_root
from klear_verl.reward.config import WHERE, RewardConfig
from klear_verl.trainer.config import KlearConfig
from klear_verl.utils.config import did_you_mean, dotted_keys, nearest_key

_OVERRIDE = re.compile(r"Could not override '(?P<key>[^']+)'")
_DELETE = re.compile(r"Could not delete from config\. '(?P<key>[^']+)'")
_APPEND = re.compile(r"An item is already at '(?P<key>[^']+)'")
_GROUP_HINT = re.compile(r"Did you mean to override (?P<key>\S+?)\?")
_OPTION = re.compile(r"Could not find '(?P<option>[^']+)'")
_OPTIONS = re.compile(r"Available options in '[^']*':\n(?P<options>(?:\t\S+\n?)+)")
_PRIMARY = re.compile(r"Cannot find primary config '(?P<name>[^']+)'")
_INTERPOLATION = re.compile(r"Interpolation key '(?P<key>[^']+)'")


def compose(recipe: str, overrides: Sequence[str] = (), *, kind: Literal["rl", "sft"]) -> DictConfig:
    """Composes a recipe with command-line overrides, in Hydra's syntax, over verl's defaults, ours and this machine's
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
    except Exception as error:  # Hydra raises a dozen kinds, some not its own; here each is a bad recipe or override
        if platform and f"Could not override '{group}'" in str(error):
            raise ConfigError(
                f"'{recipe}' is not an {kind.upper()} recipe: it does not build on '{kind}'",
                "`klear train` runs RL recipes, `klear sft` SFT recipes, `klear eval` evaluations; "
                f"a recipe of your own begins with 'defaults: [{kind}, _self_]'",
            ) from error
        raise explain_hydra_error(error, _without_overrides(path, platform)) from error


def schema_defaults() -> DictConfig:
    """The defaults of our schemas, where they stand in an RL configuration: the recipes' `/klear_verl/defaults`, which
    makes every key of ours one that can be overridden without a '+'."""
    loss = {"_target_": "klear_verl.algorithm.GPPOLossConfig", **dataclasses.asdict(GPPOOptions())}
    defaults = OmegaConf.create(
        {
            "klear": KlearConfig().model_dump(mode="json"),
            "reward": {"reward_kwargs": {"klear": RewardConfig().model_dump(mode="json")}},
            "actor_rollout_ref": {"actor": {"policy_loss": loss}},
        }
    )
    # Their keys are the user's own names, and so may be new ones.
    for free in (f"{WHERE}.data_sources", f"{WHERE}.judge.tiers"):
        OmegaConf.set_struct(OmegaConf.select(defaults, free), False)
    return defaults


def verl_config_dir() -> Path:
    """verl's own configuration folder, found without importing verl."""
    spec = importlib.util.find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        raise EnvironmentProblem("verl is not installed", "pip install verl==0.9.1")
    return Path(spec.submodule_search_locations[0]) / "trainer" / "config"


def _compose(path: Path, overrides: list[str]) -> DictConfig:
    root = recipes_root()
    inside = path.is_relative_to(root)
    name = str(path.relative_to(root) if inside else path.name).removesuffix(".yaml")
    # Quoted: a folder's name may hold anything that Hydra's grammar gives a meaning to.
    quoted = ",".join('"' + f"file://{folder}".replace('"', '\\"') + '"' for folder in (root, verl_config_dir()))
    search_path = f"hydra.searchpath=[{quoted}]"
    GlobalHydra.instance().clear()
    ConfigStore.instance().store("defaults", schema_defaults(), group="klear_verl", package="_global_")
    try:
        with initialize_config_dir(config_dir=str(root if inside else path.parent), version_base=None):
            return hydra_compose(name, overrides=[search_path, *overrides])
    finally:
        GlobalHydra.instance().clear()


def _without_overrides(path: Path, platform: list[str]) -> DictConfig | None:
    """The recipe as it stands, to find near names of a mistyped key in; None if the recipe itself does not compose."""
    try:
        return _compose(path, platform)
    except (HydraException, OmegaConfBaseException, YAMLError):
        return None


def explain_hydra_error(error: Exception, cfg: DictConfig | None = None) -> KlearError:
    """Explains a failure of `hydra.compose`, or of a look-up in the composed configuration.

    Args:
        error: what Hydra or OmegaConf raised.
        cfg: the configuration as it composes *without* the bad override, in which the nearest valid key is looked for.
            With None the message names the key but proposes nothing.

    Returns:
        A ConfigError, to be raised `from` the original, whose text never holds Hydra's search path. A KlearError comes
        back as it is.
    """
    if isinstance(error, KlearError):
        return error
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark
        where = f"{mark.name}, line {mark.line + 1}" if mark else "a recipe"
        return ConfigError(f"{where}: malformed YAML: {error.problem}", "correct the file")
    text = str(error)
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"cannot read the override {error.override!r}: {_first_line(text)}",
            "write key=value; put quotes around an override with brackets, braces, commas or blanks: 'key=[a,b]'",
        )
    if match := _APPEND.search(text):
        key = match["key"]
        return ConfigError(f"+{key}: the key exists already", f"drop the '+': {key}=…")
    if match := _OVERRIDE.search(text) or _DELETE.search(text):
        if group := _GROUP_HINT.search(text):
            return ConfigError(f"unknown config group '{match['key']}'", f"did you mean '{group['key']}'?")
        return _unknown_key(match["key"], cfg)
    if isinstance(error, MissingConfigException):
        return _missing_config(text)
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        return _unknown_key(error.full_key or str(error.key), cfg)
    if isinstance(error, InterpolationKeyError):
        match = _INTERPOLATION.search(text)
        wanted = match["key"] if match else text
        near = _nearest(wanted, cfg)
        owner = error.full_key or "the configuration"
        return ConfigError(f"{owner} refers to ${{{wanted}}}, which does not exist", _proposal(near))
    if isinstance(error, MissingMandatoryValue):
        return ConfigError(f"{error.full_key} has no value", f"set it on the command line: {error.full_key}=…")
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return ConfigError(
            f"{error.full_key}: {_first_line(text)}", "correct the value on the command line or in the recipe"
        )
    return ConfigError(_first_line(text) or type(error).__name__, "correct the override or the recipe it comes from")


def _unknown_key(key: str, cfg: DictConfig | None) -> ConfigError:
    return ConfigError(
        f"unknown configuration key '{key}'",
        f"{_proposal(_nearest(key, cfg))} (a new key needs a '+' in front: +{key}=…)",
    )


def _nearest(key: str, cfg: DictConfig | None) -> str | None:
    values = OmegaConf.to_container(cfg, resolve=False) if cfg is not None else None
    return nearest_key(key, dotted_keys(values)) if isinstance(values, dict) else None


def _proposal(near: str | None) -> str:
    return f"did you mean '{near}'?" if near else "look the key up in the recipe, or in verl's reference configuration"


def _missing_config(text: str) -> ConfigError:
    if primary := _PRIMARY.search(text):
        return ConfigError(f"no configuration named '{primary['name']}'", "check the name of the recipe")
    option = _OPTION.search(text)
    name = option["option"] if option else _first_line(text)
    options = _OPTIONS.search(text)
    known = options["options"].split() if options else []
    return ConfigError(
        f"no configuration '{name}'",
        did_you_mean(name.rsplit("/", 1)[-1], sorted(known)) if known else "check the name",
    )


def _first_line(text: str) -> str:
    # Hydra's first line may be empty or only repeat the override; its last line is a link.
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("See https")]
    useful = [line for line in lines if not line.startswith("Error parsing override")]
    return (useful or lines or [""])[0]
