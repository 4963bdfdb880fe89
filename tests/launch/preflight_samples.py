# SPDX-License-Identifier: Apache-2.0
"""Small valid inputs for the preflight tests: a model folder without real weights, rows, files. Not for engines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from klear_verl.launch.preflight.view import RLView, SFTView, View, view_of
from klear_verl.trainer.config import KlearConfig

CHAT_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
MATH_ROW: dict[str, Any] = {
    "data_source": "math_longcot_math_verify",
    "prompt": [{"role": "user", "content": "2 + 2 = ?"}],
    "reward_model": {"style": "rule", "ground_truth": "4"},
}
CODE_ROW: dict[str, Any] = {
    "data_source": "coder1_longcot",
    "prompt": [{"role": "user", "content": "print twice the number"}],
    "reward_model": {"style": "rule", "ground_truth": json.dumps({"inputs": ["1"], "outputs": ["2"]})},
}
SFT_ROW: dict[str, Any] = {
    "messages": [{"role": "user", "content": "2 + 2 = ?"}, {"role": "assistant", "content": "4"}]
}


_TRAINER = {
    "device": "cuda",
    "nnodes": 1,
    "n_gpus_per_node": 1,
    "total_epochs": 1,
    "v1": {"trainer_mode": "klear_sync"},
}
_RL = {
    "trainer": _TRAINER,
    "data": {"train_batch_size": 128, "max_prompt_length": 4096, "max_response_length": 32768},
    "actor_rollout_ref": {
        "model": {"override_config": {}},
        "actor": {"ppo_mini_batch_size": 16},
        "rollout": {"n": 8, "checkpoint_engine": {"update_weights_bucket_megabytes": 64}},
    },
}
_SFT = {"trainer": _TRAINER, "data": {"train_batch_size": 16, "max_length": 32768}, "model": {"override_config": {}}}


def rl_view(changes: Mapping[str, Any] | None = None, klear: KlearConfig | None = None) -> RLView:
    """A sound RL configuration, with the given keys (dotted) changed, as preflight looks at it."""
    return _view(RLView, _RL, changes).model_copy(update={"klear": klear or KlearConfig()})


def sft_view(changes: Mapping[str, Any] | None = None) -> SFTView:
    """The same for SFT."""
    return _view(SFTView, _SFT, changes)


def _view(kind: type[View], base: dict[str, Any], changes: Mapping[str, Any] | None) -> View:
    cfg = OmegaConf.create(base)
    for key, value in (changes or {}).items():
        OmegaConf.update(cfg, key, value)
    return view_of(kind, cfg)


def write_model(folder: Path, **config: Any) -> Path:
    """A folder that looks like a model: configuration, made-up weights, and a tokenizer of one token per byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "model_type": "qwen3",
        "vocab_size": 257,
        "hidden_size": 64,
        "max_position_embeddings": 4096,
        "dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(values | config))
    (folder / "model.safetensors").write_bytes(bytes(1024))
    alphabet = {char: number for number, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="!")
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    return folder


def write_jsonl(file: Path, rows: list[dict[str, Any]]) -> Path:
    """One JSON object per line."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def write_parquet(file: Path, rows: list[dict[str, Any]]) -> Path:
    """A parquet file of these rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), file)
    return file
