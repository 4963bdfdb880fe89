# SPDX-License-Identifier: Apache-2.0
"""The nearest valid configuration key to one that does not exist. Knows nothing of Hydra's messages (launch.compose
reads those)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from omegaconf import DictConfig, OmegaConf


def dotted_keys(cfg: DictConfig) -> list[str]:
    """Every key of `cfg`, inner nodes and leaves, dotted, in the order of the configuration."""
    found: list[str] = []

    def walk(node: object, prefix: str) -> None:
        if not isinstance(node, dict):
            return
        for name, value in node.items():
            found.append(f"{prefix}{name}")
            walk(value, f"{prefix}{name}.")

    walk(OmegaConf.to_container(cfg, resolve=False), "")
    return found


def closest(name: str, known: Iterable[str]) -> str | None:
    """The name among `known` that looks most like `name`, or None."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def hint(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or the list of what is known."""
    names = sorted(known)
    near = closest(name, names)
    return f"did you mean '{near}'?" if near else f"known: {', '.join(names) or '(none)'}"


def nearest_key(key: str, cfg: DictConfig) -> str | None:
    """The existing dotted key that `key` most probably stands for.

    A misspelt part is corrected where it stands (`trainer.nodes` → `trainer.nnodes`); otherwise a key with the same
    last name somewhere else
    is proposed (`rollout.n` → `actor_rollout_ref.rollout.n`), the most similar path first.
    """
    keys = dotted_keys(cfg)
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
