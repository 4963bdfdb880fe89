# SPDX-License-Identifier: Apache-2.0
"""Strict configuration models, and the nearest valid name to one that does not exist.

An unknown or ill-typed key is an error that names it and the nearest valid one. Knows neither Hydra nor OmegaConf:
values come as plain containers.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from klear_verl.errors import ConfigError


class FrozenModel(BaseModel):
    """Base of what is read from files that other versions may have written: frozen; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True)


class StrictModel(FrozenModel):
    """Base of our configuration and data models: frozen, and no unknown keys."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


M = TypeVar("M", bound=BaseModel)


def parse_config(model: type[M], values: Mapping[str, Any] | None, where: str) -> M:
    """Validates `values` against `model`.

    Args:
        model: a pydantic model class.
        values: plain containers (resolve an OmegaConf node first); None means "all defaults".
        where: the dotted prefix of the keys, as the user writes them (`reward.reward_kwargs.klear`).

    Raises:
        ConfigError: names each bad key in full, the nearest valid key or the expected type.
    """
    try:
        return model.model_validate(dict(values or {}))
    except ValidationError as error:
        complaints = "; ".join(validation_complaints(model, error, where))
        raise ConfigError(complaints, "fix the key on the command line or in the recipe") from error


def validation_complaints(model: type[BaseModel], error: ValidationError, where: str = "") -> list[str]:
    """One sentence per bad key: the key in full, and the nearest valid key or what is wrong with the value."""
    return [_complaint(model, item, where) for item in error.errors(include_url=False)]


def _complaint(model: type[BaseModel], item: Any, where: str) -> str:
    path = [str(part) for part in item["loc"]]
    key = ".".join([where, *path]) if where else ".".join(path)
    if item["type"] != "extra_forbidden":
        return f"{key}: {item['msg']} (got {item['input']!r})"
    parent: Any = model
    for part in path[:-1]:
        field = getattr(parent, "model_fields", {}).get(part)
        parent = field.annotation if field else None
    return f"{key}: unknown key; {did_you_mean(path[-1], getattr(parent, 'model_fields', {}), 'known keys')}"


def closest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The name among `known` that looks most like `name`; None if none is as similar as `cutoff` (0 to 1)."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str], of_what: str = "known", cutoff: float = 0.6) -> str:
    """`did you mean 'x'?`, or where nothing is similar, the list of what is known."""
    names = list(known)
    near = closest(name, names, cutoff)
    return f"did you mean '{near}'?" if near else f"{of_what}: {', '.join(names) or '(none)'}"


def dotted_keys(config: Mapping[Any, Any]) -> list[str]:
    """Every key of a nested mapping, inner nodes and leaves, dotted, in its order."""
    found: list[str] = []
    for name, value in config.items():
        found.append(str(name))
        if isinstance(value, Mapping):
            found += [f"{name}.{inner}" for inner in dotted_keys(value)]
    return found


def nearest_key(key: str, keys: Sequence[str]) -> str | None:
    """The one of `keys`, all dotted, that the unknown `key` most probably stands for.

    A misspelt part is corrected where it stands (`trainer.nodes` → `trainer.nnodes`); otherwise a key with the same
    last name elsewhere is proposed (`rollout.n` → `actor_rollout_ref.rollout.n`), the most similar path first.
    """
    corrected: list[str] = []
    for part in key.split("."):
        prefix = "".join(f"{done}." for done in corrected)
        siblings = [k[len(prefix) :] for k in keys if k.startswith(prefix) and "." not in k[len(prefix) :]]
        near = part if part in siblings else closest(part, siblings)
        if near is None:
            break
        corrected.append(near)
    else:
        return ".".join(corrected)
    last = key.rsplit(".", 1)[-1]
    same_name = [k for k in keys if k.rsplit(".", 1)[-1] == last]
    if same_name:
        return max(same_name, key=lambda k: (k.endswith(f".{key}"), difflib.SequenceMatcher(None, key, k).ratio()))
    return closest(key, keys)
