# SPDX-License-Identifier: Apache-2.0
"""Turns what Hydra and OmegaConf raise for a bad override into one ConfigError that names the key and the nearest
valid one."""

from __future__ import annotations

import re

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)
from yaml import MarkedYAMLError

from klear_verl.errors import ConfigError, KlearError
from klear_verl.utils.nearest import hint, nearest_key

_OVERRIDE = re.compile(r"Could not override '(?P<key>[^']+)'")
_DELETE = re.compile(r"Could not delete from config\. '(?P<key>[^']+)'")
_APPEND = re.compile(r"An item is already at '(?P<key>[^']+)'")
_GROUP_HINT = re.compile(r"Did you mean to override (?P<key>\S+?)\?")
_OPTION = re.compile(r"Could not find '(?P<option>[^']+)'")
_OPTIONS = re.compile(r"Available options in '[^']*':\n(?P<options>(?:\t\S+\n?)+)")
_PRIMARY = re.compile(r"Cannot find primary config '(?P<name>[^']+)'")
_INTERPOLATION = re.compile(r"Interpolation key '(?P<key>[^']+)'")


def explain_hydra_error(error: Exception, cfg: DictConfig | None = None) -> KlearError:
    """Explains a failure of `hydra.compose`, or of a look-up in the composed configuration.

    Args:
        error: what Hydra or OmegaConf raised.
        cfg: the configuration as it composes *without* the bad override; its keys are where the nearest valid key is
            looked for. With None
            the message names the key but proposes nothing.

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
        near = nearest_key(wanted, cfg) if cfg is not None else None
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
    near = nearest_key(key, cfg) if cfg is not None else None
    return ConfigError(
        f"unknown configuration key '{key}'", f"{_proposal(near)} (a new key needs a '+' in front: +{key}=…)"
    )


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
        f"no configuration '{name}'", hint(name.rsplit("/", 1)[-1], known) if known else "check the name"
    )


def _first_line(text: str) -> str:
    # Hydra's first line may be empty or only repeat the override; its last line is a link.
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("See https")]
    useful = [line for line in lines if not line.startswith("Error parsing override")]
    return (useful or lines or [""])[0]
