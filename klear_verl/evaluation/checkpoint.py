# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint folder is, seen from outside: whether it can be served, what its weights are, which engine it can
share.

It reads configuration files, headers of weight files and samples of their bytes; it never loads a model.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klear_verl.errors import EnvironmentProblem

_WEIGHTS = ("*.safetensors", "*.bin", "*.pt")
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "tiktoken.model")
# These differ between two saves of the same architecture and change nothing an engine does; dtype is compared apart.
_NOT_ARCHITECTURE = ("_name_or_path", "transformers_version", "use_cache", "dtype", "torch_dtype")
_BLOCK = 1 << 16
_BLOCKS_PER_FILE = 64


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that exists.

    `digest` identifies the weights and the tokenizer's files wherever the folder lies. Two checkpoints with the same
    `engine_key` differ in the values of their weights only, so one engine can serve both in turn; None if that can't
    be told from the files.
    """

    name: str
    path: Path
    digest: str
    engine_key: str | None


def read_checkpoint(name: str, path: str, dtype: str) -> Checkpoint:
    """Looks at a checkpoint.

    Args:
        name: the model's name in the recipe.
        path: its folder.
        dtype: the engine's; "auto" makes the dtype in config.json part of the engine's key.

    Raises:
        EnvironmentProblem: the folder, its config.json, its tokenizer or its weights are missing or unreadable.
    """
    folder = Path(path)
    label = f"model {name}: {path}"
    if not folder.is_dir():
        raise EnvironmentProblem(
            f"{label}: no such folder", f"set models.{name} to a folder with a Hugging Face checkpoint"
        )
    weights = next((found for pattern in _WEIGHTS if (found := sorted(folder.glob(pattern)))), [])
    tokenizer = [folder / file for file in _TOKENIZER if (folder / file).is_file()]
    absent = [
        what
        for what, there in (
            ("config.json", (folder / "config.json").is_file()),
            ("weights (*.safetensors or *.bin)", bool(weights)),
            ("tokenizer files", bool(tokenizer)),
        )
        if not there
    ]
    if absent:
        raise EnvironmentProblem(
            f"{label}: no {', no '.join(absent)}",
            "merge a checkpoint of verl into Hugging Face's format first (python -m verl.model_merger merge …)",
        )
    try:
        key = _engine_key(folder, weights, tokenizer, dtype)
        return Checkpoint(name, folder, _digest([*weights, *tokenizer]), key)
    except (ValueError, OSError, struct.error) as error:
        raise EnvironmentProblem(f"{label}: damaged ({error})", "save or copy the checkpoint again") from error


def _engine_key(folder: Path, weights: list[Path], tokenizer: list[Path], dtype: str) -> str | None:
    if any(file.suffix != ".safetensors" for file in weights):
        return None
    config = _json(folder / "config.json")
    parts: dict[str, Any] = {
        "config": {key: value for key, value in config.items() if key not in _NOT_ARCHITECTURE},
        "dtype": config.get("dtype", config.get("torch_dtype")) if dtype == "auto" else dtype,
        "tensors": sorted(_tensors(weights)),
        # Where a response ends is decided by these when the engine starts.
        "generation": _json(folder / "generation_config.json").get("eos_token_id"),
        "eos": _json(folder / "tokenizer_config.json").get("eos_token"),
        "tokenizer": {file.name: _tokenizer_content(file) for file in tokenizer},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tensors(weights: list[Path]) -> list[tuple[str, list[int]]]:
    # Format: 8 bytes, little-endian length of the header; the header, JSON: {name: {dtype, shape, data_offsets},
    # "__metadata__": …}.
    tensors = []
    for path in weights:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                raise ValueError(f"{path.name}: the header is longer than the file")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if end != path.stat().st_size:
            raise ValueError(f"{path.name}: {path.stat().st_size} bytes instead of {end}")
        tensors += [(name, entry["shape"]) for name, entry in header.items()]
    return tensors


def _tokenizer_content(file: Path) -> Any:
    if file.suffix != ".json":
        return hashlib.sha256(file.read_bytes()).hexdigest()
    # A tokenizer that was used with padding or truncation writes that into its file; an engine is given token ids and
    # ignores it.
    return {key: value for key, value in _json(file).items() if key not in ("padding", "truncation")}


def _digest(files: list[Path]) -> str:
    """SHA-256 over names, sizes and up to 64 evenly spaced blocks of 64 KiB of each file.

    Training changes every tensor, so a sample tells checkpoints apart; reading hundreds of gigabytes before each
    evaluation would not pay.
    """
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name}:{size};".encode())
        with path.open("rb") as file:
            if size <= _BLOCK * _BLOCKS_PER_FILE:
                digest.update(file.read())
                continue
            for block in range(_BLOCKS_PER_FILE):
                file.seek((size - _BLOCK) * block // (_BLOCKS_PER_FILE - 1))
                digest.update(file.read(_BLOCK))
    return digest.hexdigest()


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    return value
