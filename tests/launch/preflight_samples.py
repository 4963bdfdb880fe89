# SPDX-License-Identifier: Apache-2.0
"""Small valid inputs for the preflight tests: a model folder without real weights, rows, files. Not for engines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
