# SPDX-License-Identifier: Apache-2.0
"""What results depend on, kept beside them, so that a resumed evaluation never mixes two configurations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from klear_verl.errors import ConfigError, DataError
from klear_verl.evaluation.benchmark import Benchmark
from klear_verl.evaluation.checkpoint import Checkpoint
from klear_verl.evaluation.config import EvalConfig
from klear_verl.utils.files import write_json

GENERATION = "generation.json"
GRADING = "grading.json"


def generation_fingerprint(config: EvalConfig, checkpoint: Checkpoint, benchmark: Benchmark) -> dict[str, Any]:
    """Everything a response depends on. Not `n` and `max_problems`: raising them adds samples to those that are
    there."""
    return {
        "model": checkpoint.digest,
        "data": benchmark.digest,
        "seed": config.seed,
        "sampling": config.sampling.model_dump(mode="json"),
        "engine": config.engine.model_dump(mode="json", include={"dtype", "max_model_len", "hf_overrides"}),
        "chat_template_kwargs": config.chat_template_kwargs,
    }


def grading_fingerprint(config: EvalConfig) -> dict[str, Any]:
    """Everything a score depends on besides the response. Numbers of workers don't count."""
    return {"reward": config.reward.model_dump(mode="json", exclude={"judge": {"slots"}, "math": {"workers"}})}


def check_fingerprint(path: Path, wanted: dict[str, Any], remedy: str) -> None:
    """Compares with the fingerprint of the earlier run, or writes it if there was none.

    Raises:
        ConfigError: they differ; names each differing key with both values.
        DataError: the file of the earlier run cannot be read.
    """
    wanted = json.loads(json.dumps(wanted))
    if not path.exists():
        write_json(path, wanted)
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})", f"delete the folder {path.parent} to evaluate again") from error
    before, now = dict(_leaves(found, "")), dict(_leaves(wanted, ""))
    changed = [
        f"{key}: {_shown(before, key)} -> {_shown(now, key)}"
        for key in sorted({*before, *now})
        if before.get(key, _MISSING) != now.get(key, _MISSING)
    ]
    if changed:
        raise ConfigError(f"{path.parent}: was begun with another configuration ({'; '.join(changed)})", remedy)


_MISSING = object()


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else name)
    else:
        yield key, value


def _shown(leaves: dict[str, Any], key: str) -> str:
    if key not in leaves:
        return "(absent)"
    text = json.dumps(leaves[key])
    return text if len(text) <= 24 else text[:20] + '…"'
