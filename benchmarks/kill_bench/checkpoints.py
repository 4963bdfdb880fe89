# SPDX-License-Identifier: Apache-2.0
"""Whether two runs saved the same: every tensor, number and byte of their checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch


def differences(left: Path, right: Path) -> list[str]:
    """What differs between two checkpoint folders, one line each; empty: nothing does.

    `.pt` files are compared value by value, tensors with `torch.equal`; all others byte by byte.
    """
    names = sorted(
        {str(path.relative_to(root)) for root in (left, right) for path in root.rglob("*") if path.is_file()}
    )
    found = []
    for name in names:
        if not ((left / name).is_file() and (right / name).is_file()):
            found.append(f"{name}: only in one")
        elif name.endswith(".pt"):
            values = [torch.load(root / name, weights_only=False) for root in (left, right)]
            found += [f"{name}: {where}" for where in _unequal(*values, "")]
        elif (left / name).read_bytes() != (right / name).read_bytes():
            found.append(f"{name}: bytes")
    return found


def rollouts(folder: Path, step: int) -> list[tuple[str, str, float]]:
    """What was sampled in a step, of the responses that trained: prompt, response and reward, sorted, from
    `trainer.rollout_data_dir`."""
    rows = [json.loads(line) for line in (folder / f"{step}.jsonl").read_text().splitlines()]
    return sorted((row["input"], row["output"], row["score"]) for row in rows)


def _unequal(left: Any, right: Any, where: str) -> list[str]:
    if type(left) is not type(right):
        return [f"{where} {type(left).__name__} is not {type(right).__name__}"]
    if isinstance(left, torch.Tensor):
        local = [value.to_local() if hasattr(value, "to_local") else value for value in (left, right)]
        same = local[0].dtype == local[1].dtype and torch.equal(*local)
    elif isinstance(left, np.ndarray):
        same = left.dtype == right.dtype and np.array_equal(left, right)
    elif isinstance(left, dict):
        if left.keys() != right.keys():
            return [f"{where} keys {sorted(map(str, left.keys() ^ right.keys()))}"]
        return [line for key in left for line in _unequal(left[key], right[key], f"{where}[{key!r}]")]
    elif isinstance(left, list | tuple):
        if len(left) != len(right):
            return [f"{where} {len(left)} and {len(right)} items"]
        return [
            line for n, pair in enumerate(zip(left, right, strict=True)) for line in _unequal(*pair, f"{where}[{n}]")
        ]
    else:
        same = left == right
    return [] if same else [where]
