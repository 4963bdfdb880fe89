# SPDX-License-Identifier: Apache-2.0
"""Sizes of a model from its configuration, against transformers' own modules and published figures."""

from __future__ import annotations

from typing import Any

import pytest

from klear_verl.launch.estimate.memory import DENSE, ModelShape, model_shape
from tests.launch.full_size_models import QWEN3_1_7B, QWEN3_8B

TINY = {
    "vocab_size": 300,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}


def shape_of(config: dict[str, Any]) -> ModelShape:
    shape = model_shape(config)
    assert shape is not None
    return shape


def test_qwen3_8b_has_its_published_8_19_billion_parameters() -> None:
    # Embedding and output 2 * 151936 * 4096; 36 layers of q and o 2 * 4096 * 4096, k and v 2 * 4096 * 1024,
    # MLP 3 * 4096 * 12288, norms 2 * 4096 + 2 * 128; last norm 4096.
    layer = 2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 12288 + 2 * 4096 + 2 * 128
    assert shape_of(QWEN3_8B).parameters == 2 * 151936 * 4096 + 36 * layer + 4096 == 8_190_735_360


def test_a_tied_output_matrix_is_counted_once() -> None:
    assert shape_of(QWEN3_1_7B).parameters == 1_720_574_976


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", DENSE)
def test_the_count_is_that_of_transformers_own_model(kind: str, tied: bool) -> None:
    assert shape_of({**TINY, "model_type": kind, "tie_word_embeddings": tied}).parameters == built(kind, tied)


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_attention_biases_are_counted(kind: str) -> None:
    config = {**TINY, "model_type": kind, "attention_bias": True}
    assert shape_of(config).parameters == built(kind, False, attention_bias=True)


def built(kind: str, tied: bool, **more: Any) -> int:
    """Parameters of the module that transformers builds, on no device. Where a configuration states no head dimension,
    Qwen3 has one of its own: it is named."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, **TINY, head_dim=8, tie_word_embeddings=tied, **more)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_quickstarts_model_has_as_many_parameters_as_its_folder_says(tmp_path: Any) -> None:
    import json

    from klear_verl.quickstart import world

    tokenizer = world.build_tokenizer(["some text 12"], 512)
    model = world.build_model(tokenizer, 0)
    world.save_model(tmp_path, tokenizer, model)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert shape_of(saved).parameters == sum(parameter.numel() for parameter in model.parameters())


def test_what_a_layer_keeps_for_its_backward_pass_is_what_torch_saves() -> None:
    import torch
    from transformers import Qwen3Config
    from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer, Qwen3RotaryEmbedding

    sizes = {**TINY, "hidden_size": 256, "intermediate_size": 640, "num_attention_heads": 8, "head_dim": 64}
    config = Qwen3Config(**sizes, attn_implementation="sdpa")
    layer, rotary = Qwen3DecoderLayer(config, 0).bfloat16(), Qwen3RotaryEmbedding(config)
    tokens = 128
    hidden = torch.randn(1, tokens, 256, dtype=torch.bfloat16, requires_grad=True)
    position = rotary(hidden, torch.arange(tokens)[None])
    weights = {parameter.untyped_storage().data_ptr() for parameter in layer.parameters()}
    saved: dict[int, int] = {}
    alive: list[torch.Tensor] = []  # a freed storage's address would be given out again

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        alive.append(tensor)
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16),
    ):
        layer(hidden, position_embeddings=position, attention_mask=None)
    estimate = 2 * shape_of({**sizes, "model_type": "qwen3"}).saved_per_token
    assert estimate == pytest.approx(sum(saved.values()) / tokens, rel=0.05)


def test_kv_heads_are_divided_among_the_gpus_of_an_engine_or_repeated() -> None:
    # Qwen3-8B: keys and values, 36 layers, 8 heads of 128, 2 bytes.
    shape = shape_of(QWEN3_8B)
    assert shape.kv_bytes_per_token(1) == 2 * 36 * 8 * 128 * 2 == 147456
    assert shape.kv_bytes_per_token(2) == 73728
    assert shape.kv_bytes_per_token(16) == shape.kv_bytes_per_token(8) == 18432


@pytest.mark.parametrize("config", [{}, {"model_type": "qwen3_moe"}, {"model_type": "qwen3"}])
def test_what_is_not_known_has_no_shape(config: dict[str, Any]) -> None:
    assert model_shape(config) is None
