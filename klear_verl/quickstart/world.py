# SPDX-License-Identifier: Apache-2.0
"""The miniature world, all from one seed: a tokenizer and a random Qwen3 made on the spot from the tasks' own text (no
download, nothing pretrained), demonstrations, and disjoint train and held-out rows of both tasks.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from klear_verl.quickstart import code_task, math_task
from klear_verl.utils.files import replacing_folder, write_json

SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """A byte-level BPE with single digits, ChatML special tokens and Qwen's chat format (without a default system
    prompt)."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 2, special_tokens=SPECIAL_TOKENS, initial_alphabet=alphabet, show_progress=False
    )
    chat_words = ["user\n", "assistant\n", "system\n"] * 100
    bpe.train_from_iterator([*texts, *chat_words], trainer)
    # As in Qwen3's tokenizer, the think tags are tokens of their own but not special: they stay in decoded text.
    bpe.add_tokens([AddedToken(tag, normalized=False) for tag in ("<think>", "</think>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_model(tokenizer: Any, seed: int) -> Any:
    """A Qwen3 of about half a million parameters; the vocabulary is exactly the tokenizer's."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        rope_theta=10000.0,
        initializer_range=0.04,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def save_model(directory: Path, tokenizer: Any, model: Any) -> None:
    """Writes both in Hugging Face's format."""
    tokenizer.save_pretrained(directory)
    model.save_pretrained(directory)


DEMONSTRATIONS = 12_800
WRONG_SHARE = 0.5
HELD_OUT = {"math": 64, "code": 48}
VOCABULARY = 512
TABLES = (
    "sft_train",
    "sft_held_out",
    "math_train",
    "math_held_out",
    "code_train",
    "code_held_out",
    "code_train_unfiltered",
    "code_train_filtered",
)
"""The last two are of the ablation `test_filter`: as `code_train`, but every third problem with mistaken tests, and
what a filter leaves of it."""


def make_world(directory: Path, seed: int) -> bool:
    """Makes the world in `directory`, unless it is there already; returns whether it had to."""
    marker = directory / "world.json"
    complete = marker.is_file() and all((directory / f"{name}.parquet").is_file() for name in TABLES)
    if complete and json.loads(marker.read_text(encoding="utf-8"))["seed"] == seed:
        return False
    with replacing_folder(directory) as aside:
        sizes = _write(aside, seed)
        write_json(aside / "world.json", {"seed": seed, **sizes})
    return True


def _write(directory: Path, seed: int) -> dict[str, int]:
    rng = random.Random(seed)
    math_train, math_held_out = math_task.split(rng, HELD_OUT["math"])
    code_train, code_held_out = code_task.split(rng, HELD_OUT["code"])
    demonstrations = [_demonstration(rng, math_train, code_train) for _ in range(DEMONSTRATIONS)]
    held_out = [_demonstration(rng, math_held_out, code_held_out) for _ in range(128)]
    tokenizer = build_tokenizer((m["content"] for d in demonstrations for m in d["messages"]), VOCABULARY)
    save_model(directory / "model", tokenizer, build_model(tokenizer, seed))
    tables: dict[str, list[dict[str, Any]]] = {
        "sft_train": demonstrations,
        "sft_held_out": held_out,
        "math_train": [problem.row() for problem in math_train],
        "math_held_out": [problem.row() for problem in math_held_out],
        "code_train": [problem.row() for problem in code_train],
        "code_held_out": [problem.row() for problem in code_held_out],
        "code_train_unfiltered": [problem.row(mistaken=number % 3 == 0) for number, problem in enumerate(code_train)],
        "code_train_filtered": [problem.row() for number, problem in enumerate(code_train) if number % 3],
    }
    for name, rows in tables.items():
        _write_parquet(directory / f"{name}.parquet", rows)
    return {name: len(rows) for name, rows in tables.items()}


def _demonstration(
    rng: random.Random, math_problems: Sequence[math_task.Addition], code_problems: Sequence[code_task.LinearPair]
) -> dict[str, Any]:
    wrong = rng.random() < WRONG_SHARE
    if rng.random() < 1 / 2:
        addition = rng.choice(math_problems)
        prompt, response = addition.prompt(), addition.demonstration(forgets_carry=wrong)
    else:
        pair = rng.choice(code_problems)
        prompt, response = pair.prompt(), pair.demonstration(careless=wrong)
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]}


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)
