# SPDX-License-Identifier: Apache-2.0
"""Heads that parallel ranks cannot share are named; what verl and vLLM accept passes."""

from __future__ import annotations

import pytest

from klear_verl.errors import ConfigError
from klear_verl.launch.preflight.model import ModelFacts, check_attention, check_rl_heads, check_sft_heads
from klear_verl.launch.preflight.view import MODEL, RLView
from tests.launch.preflight_samples import rl_view, sft_view

QWEN3_8B = ModelFacts("qwen3-8b", {"num_attention_heads": 32, "num_key_value_heads": 8}, 0)
QWEN2_1_5B = ModelFacts("qwen2-1.5b", {"num_attention_heads": 12, "num_key_value_heads": 2}, 0)
UNKNOWN = ModelFacts("not here yet", {}, 0)


def rl(tensor: int = 1, ulysses: int = 1, attention: str | None = None) -> RLView:
    role = "actor_rollout_ref"
    return rl_view(
        {
            f"{role}.model.override_config": {"attn_implementation": attention} if attention else {},
            f"{role}.actor.ulysses_sequence_parallel_size": ulysses,
            f"{role}.rollout.tensor_model_parallel_size": tensor,
        }
    )


@pytest.mark.parametrize("tensor", [1, 2, 4, 8, 16, 32])
def test_tensor_parallel_ranks_share_or_repeat_kv_heads(tensor: int) -> None:
    check_rl_heads(rl(tensor=tensor), QWEN3_8B)  # 8 KV heads: divided up to 8 ranks, repeated on 16 and 32


@pytest.mark.parametrize(
    ("tensor", "model", "said"),
    [
        (3, QWEN3_8B, "tensor_model_parallel_size=3 does not divide the 32 attention heads of qwen3-8b"),
        (64, QWEN3_8B, "=64 does not divide the 32 attention heads"),
        (3, QWEN2_1_5B, "=3 neither divides the 2 KV heads of qwen2-1.5b nor is a multiple of them"),
    ],
)
def test_tensor_parallel_ranks_that_do_not_fit_are_named(tensor: int, model: ModelFacts, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        check_rl_heads(rl(tensor=tensor), model)
    assert caught.value.remedy


def test_the_remedy_lists_the_sizes_that_fit() -> None:
    with pytest.raises(ConfigError) as caught:
        check_rl_heads(rl(tensor=3), QWEN2_1_5B)
    assert caught.value.remedy == "choose 1 or 2 or 4 or 6 or 12"


def test_sequence_parallel_ranks_must_fit_the_heads_too() -> None:
    check_rl_heads(rl(ulysses=4), QWEN3_8B)
    with pytest.raises(ConfigError, match="ulysses_sequence_parallel_size=5 does not divide the 32"):
        check_rl_heads(rl(ulysses=5), QWEN3_8B)
    with pytest.raises(ConfigError, match=r"engine\.ulysses_sequence_parallel_size=5"):
        check_sft_heads(sft_view({"engine.ulysses_sequence_parallel_size": 5}), QWEN3_8B)


@pytest.mark.parametrize("model", [QWEN3_8B, UNKNOWN])
def test_sequence_parallelism_without_flash_attention_is_refused(model: ModelFacts) -> None:
    check_rl_heads(rl(ulysses=4, attention="flash_attention_2"), model)
    check_rl_heads(rl(ulysses=1, attention="sdpa"), model)
    with pytest.raises(ConfigError, match=r"=4 needs flash attention, but .*attn_implementation=sdpa"):
        check_rl_heads(rl(ulysses=4, attention="sdpa"), model)


@pytest.mark.parametrize("attention", ["flash_attention_2", None])
def test_flash_attention_which_is_the_default_is_refused_on_the_cpu(attention: str | None) -> None:
    for device, chosen in (("cuda", attention), ("cpu", "sdpa")):
        check_attention(rl(attention=chosen).model, MODEL, device)
    with pytest.raises(ConfigError, match=r"attn_implementation=flash_attention_2, but trainer\.device=cpu"):
        check_attention(rl(attention=attention).model, MODEL, "cpu")


def test_nothing_is_said_of_heads_that_are_not_known() -> None:
    check_rl_heads(rl(tensor=3, ulysses=5), UNKNOWN)
