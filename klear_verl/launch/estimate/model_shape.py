# SPDX-License-Identifier: Apache-2.0
"""The sizes of a dense decoder, from its `config.json`: parameters, and the bytes that its layers take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DENSE = ("llama", "mistral", "qwen2", "qwen3")
"""`model_type` of the architectures whose parameters are counted here; a test holds the count to transformers' own."""


@dataclass(frozen=True)
class ModelShape:
    """A decoder with grouped-query attention and a gated MLP; all sizes in elements.

    `query` and `key` are the widths of all query heads and of all key heads (as of all value heads). `layer_extra` are
    a layer's biases and head norms.
    """

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    kv_heads: int
    head_dim: int
    query: int
    key: int
    layer_extra: int
    tied: bool

    @property
    def layer_parameters(self) -> int:
        """Query, key, value and output projections, three MLP matrices, two norms."""
        attention = 2 * self.hidden * self.query + 2 * self.hidden * self.key
        return attention + 3 * self.hidden * self.intermediate + 2 * self.hidden + self.layer_extra

    @property
    def outer_parameters(self) -> int:
        """What is in no layer: the embedding, the output matrix unless it is the same, the last norm."""
        return (1 if self.tied else 2) * self.vocabulary * self.hidden + self.hidden

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.layers * self.layer_parameters + self.outer_parameters

    @property
    def saved_per_token(self) -> int:
        """Elements (of 2 bytes) that the forward pass of one layer keeps per token for its backward pass.

        Each RMSNorm keeps its input in float32 (2 elements), the normalised value and the output: 4 hidden, twice.
        Query and key: the same for the head norms, and the rotated value; attention keeps its output; the value is kept
        as it is. The MLP keeps gate, up, the activated gate and the product. Flash attention keeps nothing quadratic
        (Korthikanti et al., arXiv 2205.05198, section 4.1, count the same way for GPT). Measured for Qwen3, where it is
        exact to 3 %; without head norms it errs on the safe side.
        """
        return 8 * self.hidden + 5 * self.query + 5 * self.key + 4 * self.intermediate

    def kv_bytes_per_token(self, tensor_parallel: int, dtype_bytes: int = 2) -> int:
        """Bytes of KV cache per token on each GPU of an engine: vLLM divides the heads, or repeats them where there are
        fewer heads than GPUs."""
        return 2 * self.layers * max(1, self.kv_heads // tensor_parallel) * self.head_dim * dtype_bytes


def model_shape(config: Mapping[str, Any]) -> ModelShape | None:
    """Reads a Hugging Face configuration; None for an architecture that is not in DENSE."""
    kind = config.get("model_type")
    sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    if kind not in DENSE or any(not config.get(size) for size in sizes):
        return None
    heads = int(config["num_attention_heads"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    hidden = int(config["hidden_size"])
    head_dim = int(config.get("head_dim") or hidden // heads)
    query, key = heads * head_dim, kv_heads * head_dim
    extra = 0
    if kind == "qwen2":
        extra += query + 2 * key
    elif kind != "mistral" and config.get("attention_bias"):
        extra += query + 2 * key + hidden
    if kind == "qwen3":
        extra += 2 * head_dim
    return ModelShape(
        vocabulary=int(config["vocab_size"]),
        hidden=hidden,
        intermediate=int(config["intermediate_size"]),
        layers=int(config["num_hidden_layers"]),
        kv_heads=kv_heads,
        head_dim=head_dim,
        query=query,
        key=key,
        layer_extra=extra,
        tied=bool(config.get("tie_word_embeddings", False)),
    )
