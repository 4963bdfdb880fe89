# SPDX-License-Identifier: Apache-2.0
"""Strict configuration models: an unknown or ill-typed key is an error that names it and the nearest valid one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from klear_verl.errors import ConfigError


class StrictModel(BaseModel):
    """Base of our configuration models: frozen, and no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
        complaints = [_complaint(model, item, where) for item in error.errors(include_url=False)]
        raise ConfigError("; ".join(complaints), "fix the key on the command line or in the recipe") from error


def _complaint(model: type[BaseModel], item: Any, where: str) -> str:
    path = [str(part) for part in item["loc"]]
    key = ".".join([where, *path]) if where else ".".join(path)
    if item["type"] != "extra_forbidden":
        return f"{key}: {item['msg']} (got {item['input']!r})"
    parent: Any = model
    for part in path[:-1]:
        field = getattr(parent, "model_fields", {}).get(part)
        parent = field.annotation if field else None
    known = list(getattr(parent, "model_fields", {}))
    near = difflib.get_close_matches(path[-1], known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known) or '(none)'}"
    return f"{key}: unknown key; {hint}"
