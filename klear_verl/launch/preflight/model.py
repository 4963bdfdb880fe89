# SPDX-License-Identifier: Apache-2.0
"""Is the model there, and whole, and can its heads be divided as asked? Looks at files only: nothing is downloaded, no
weight is read."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klear_verl.errors import ConfigError
from klear_verl.launch.preflight.view import ACTOR, MODEL, ROLLOUT, ModelNode, RLView, SFTView
from klear_verl.utils.config import closest

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tiktoken.model")
WEIGHT_PATTERNS = ("*.safetensors", "pytorch_model*.bin")
_TRUE = {"1", "true", "yes", "on"}


@dataclass(frozen=True)
class ModelFacts:
    """What preflight knows about a local model. `weight_bytes` is the size of its weight files (0 when it is not on
    this machine)."""

    path: str
    config: dict[str, Any]
    weight_bytes: int

    @property
    def largest_tensor_elements(self) -> int:
        """Elements of the embedding, the largest tensor of a dense language model; 0 when unknown."""
        return int(self.config.get("vocab_size") or 0) * int(self.config.get("hidden_size") or 0)

    @property
    def parameters(self) -> int:
        """Number of parameters, from the size of the files and the dtype they were saved in; 0 when unknown."""
        dtype = str(self.config.get("dtype") or self.config.get("torch_dtype") or "float32")
        return self.weight_bytes // (2 if dtype.endswith("16") else 4)


def check_model(path: str | None, key: str) -> ModelFacts:
    """Checks a model path as verl takes it: a folder, or the id of a Hugging Face repository.

    Raises:
        ConfigError: names the option and the missing file.
    """
    if not path:
        raise ConfigError(
            f"{key} is empty", f"set {key}= (or KLEAR_MODEL, for our recipes) to a model folder or a Hugging Face id"
        )
    folder = Path(path)
    if path.startswith("~"):
        raise ConfigError(f"{key}={path}: verl does not expand '~'", f"write {key}={os.path.expanduser(path)}")
    if folder.is_dir():
        if path.endswith("/"):
            raise ConfigError(
                f"{key}={path} ends with '/', which verl 0.9.1 refuses", f"write {key}={path.rstrip('/')}"
            )
        return _check_folder(folder, key)
    if folder.exists():
        raise ConfigError(f"{key}={path} is a file", "give the folder that holds config.json")
    if _looks_like_a_path(path):
        raise ConfigError(
            f"{key}={path} does not exist{_sibling_hint(folder)}", "give an existing model folder or a model id"
        )
    return _check_hub_id(path, key)


def known_config(path: str | None) -> dict[str, Any]:
    """The model's config.json as far as it is on this machine: in the folder, or in the Hugging Face cache; {} where it
    is in neither."""
    folder = Path(path or "")
    if path and folder.is_dir():
        file = folder / "config.json"
        return _read_json(file, path) if file.is_file() else {}
    cached = _cached_config(path) if path else None
    return _read_json(cached, str(path)) if cached else {}


def check_attention(model: ModelNode, key: str, device: str) -> None:
    """Flash attention is for GPUs, and verl's default.

    Raises:
        ConfigError: it is chosen on the CPU platform.
    """
    if device == "cpu" and "flash" in model.attention:
        key = f"{key}.override_config.attn_implementation"
        raise ConfigError(f"{key}={model.attention}, but trainer.device=cpu has no flash attention", f"set {key}=sdpa")


def check_rl_heads(view: RLView, model: ModelFacts) -> None:
    """Tensor parallelism of the rollout and sequence parallelism of the actor against the model.

    Raises:
        ConfigError: names the option and the number that it does not divide.
    """
    key = "ulysses_sequence_parallel_size"
    _check_heads(view.rollout.tensor_model_parallel_size or 1, f"{ROLLOUT}.tensor_model_parallel_size", model)
    _check_ulysses(view.actor.ulysses_sequence_parallel_size, f"{ACTOR}.{key}", view.model, MODEL, model)
    inner = view.actor.fsdp_config.ulysses_sequence_parallel_size
    _check_ulysses(inner, f"{ACTOR}.fsdp_config.{key}", view.model, MODEL, model)


def check_sft_heads(view: SFTView, model: ModelFacts) -> None:
    """Sequence parallelism of SFT against the model; raises as check_rl_heads."""
    ranks = view.engine.ulysses_sequence_parallel_size
    _check_ulysses(ranks, "engine.ulysses_sequence_parallel_size", view.model, "model", model)


def _check_heads(ranks: int, key: str, model: ModelFacts) -> None:
    """vLLM (ModelConfig.verify_with_parallel_config; its attention layers for the KV heads) and verl
    (models/transformers/monkey_patch.py, apply_monkey_patch) have the same rule: query heads are divided, KV heads
    divided or repeated."""
    heads = int(model.config.get("num_attention_heads") or 0)
    kv_heads = int(model.config.get("num_key_value_heads") or heads)
    if heads % ranks:
        raise ConfigError(
            f"{key}={ranks} does not divide the {heads} attention heads of {model.path}", f"choose {_divisors(heads)}"
        )
    if kv_heads and kv_heads % ranks and ranks % kv_heads:
        raise ConfigError(
            f"{key}={ranks} neither divides the {kv_heads} KV heads of {model.path} nor is a multiple of them",
            f"choose {_divisors(heads, kv_heads)}",
        )


def _check_ulysses(ranks: int | None, key: str, node: ModelNode, node_key: str, model: ModelFacts) -> None:
    if ranks is None or ranks == 1:
        return
    _check_heads(ranks, key, model)
    if "flash" not in node.attention:
        # verl exchanges heads inside its flash attention only: any other attends within each rank's part of a sequence,
        # and nobody complains.
        raise ConfigError(
            f"{key}={ranks} needs flash attention, but {node_key}.override_config.attn_implementation="
            f"{node.attention}: each rank would attend to its own part of a sequence only",
            f"set attn_implementation=flash_attention_2, or {key}=1",
        )


def _divisors(heads: int, kv_heads: int | None = None) -> str:
    kv = kv_heads or heads
    fitting = [size for size in range(1, heads + 1) if heads % size == 0 and (kv % size == 0 or size % kv == 0)]
    return " or ".join(str(size) for size in fitting)


def _cached_config(repo_id: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(repo_id, "config.json")
    except HFValidationError:
        return None
    return Path(cached) if isinstance(cached, str) else None


def _check_folder(folder: Path, key: str) -> ModelFacts:
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise ConfigError(f"{key}={folder} has no config.json", "give the folder of a model in Hugging Face format")
    config = _read_json(config_file, key)
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ConfigError(
            f"{key}={folder} has no tokenizer (none of {', '.join(TOKENIZER_FILES)})", "save the tokenizer there"
        )
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = set(_read_json(index, key).get("weight_map", {}).values())
        if missing := sorted(shard for shard in shards if not (folder / shard).is_file()):
            raise ConfigError(
                f"{key}={folder} lacks {len(missing)} weight files, first {missing[0]}", "complete the download"
            )
    weights = [file for pattern in WEIGHT_PATTERNS for file in folder.glob(pattern)]
    if not weights:
        raise ConfigError(
            f"{key}={folder} has no weights (*.safetensors)", "save the model there, not only its configuration"
        )
    if empty := [file.name for file in weights if file.stat().st_size == 0]:
        raise ConfigError(f"{key}={folder}: {empty[0]} is empty (0 bytes)", "complete the download")
    return ModelFacts(str(folder), config, sum(file.stat().st_size for file in weights))


def _check_hub_id(repo_id: str, key: str) -> ModelFacts:
    offline = any(os.environ.get(name, "").lower() in _TRUE for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    if not offline:
        return ModelFacts(repo_id, {}, 0)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(repo_id, "config.json")
    except HFValidationError as error:
        raise ConfigError(
            f"{key}={repo_id} is neither a folder nor a model id", "give an existing model folder"
        ) from error
    if not isinstance(cached, str):
        raise ConfigError(
            f"{key}={repo_id} is no folder here, nor in the Hugging Face cache, and downloads are off "
            f"(HF_HUB_OFFLINE=1)",
            f"correct the path, or download it first: HF_HUB_OFFLINE=0 hf download {repo_id}",
        )
    return _check_folder(Path(cached).parent, key)


def _looks_like_a_path(path: str) -> bool:
    return path.startswith(("/", ".")) or path.count("/") != 1 or Path(path.split("/")[0]).is_dir()


def _sibling_hint(folder: Path) -> str:
    if not folder.parent.is_dir():
        return f" (nor does {folder.parent})"
    near = closest(folder.name, [entry.name for entry in folder.parent.iterdir() if entry.is_dir()])
    return f" (did you mean {folder.parent / near}?)" if near else ""


def _read_json(file: Path, key: str) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{key}: {file} is not valid JSON: {error}", "restore the file from the model's source"
        ) from error
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: {file} does not hold a JSON object", "restore the file from the model's source")
    return value
