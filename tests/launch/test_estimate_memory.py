# SPDX-License-Identifier: Apache-2.0
"""Memory and tokens, against numbers worked out by hand for a model small enough to do so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from klear_verl.launch.estimate.memory import (
    OTHER_BYTES,
    ModelShape,
    TrainingSetup,
    model_shape,
    rollout_memory,
    training_memory,
)
from klear_verl.launch.estimate.settings import step_size
from klear_verl.trainer.config import GroupsConfig
from tests.launch.full_size_models import QWEN3_8B

# Layer: 2*10*8 + 2*10*4 + 3*10*20 + 2*10 + 0 = 860; outside: 2*100*10 + 10 = 2010; in all 2*860 + 2010 = 3730.
SMALL = ModelShape(
    vocabulary=100,
    hidden=10,
    intermediate=20,
    layers=2,
    kv_heads=2,
    head_dim=2,
    query=8,
    key=4,
    layer_extra=0,
    tied=False,
)
EIGHT_B = model_shape(QWEN3_8B)
ONE_RANK = TrainingSetup(shards=1, update_tokens=1000, infer_tokens=1000)


def test_the_state_of_adam_is_divided_among_the_shards() -> None:
    assert SMALL.parameters == 3730
    for shards in (1, 2):
        memory = training_memory(SMALL, replace(ONE_RANK, shards=shards))
        assert memory.parameters == memory.gradients == 3730 * 4 // shards
        assert memory.optimizer == 2 * memory.parameters


def test_the_parts_of_an_update_add_up() -> None:
    # Gathered: (2010 + 2*860) * 2. Activations: 2 layers * 1000 tokens * 10 * 2. Logits: 1000 * 100 * 2, and the output
    # matrix's gradient 100 * 10 * 2. A layer anew: 8*10 + 5*8 + 5*4 + 4*20 = 220 elements kept, 3*20 of gradients.
    memory = training_memory(SMALL, ONE_RANK)
    assert (memory.gathered, memory.activations, memory.logits) == (7460, 40_000, 200_000)
    assert memory.update == 4 * 14_920 + 7460 + 40_000 + max(200_000 + 2000, 1000 * (220 + 60) * 2)


def test_the_log_probability_pass_holds_two_more_copies_of_the_logits_or_chunks_in_float32() -> None:
    state = 3 * 14_920 + 7460  # parameters and both moments; there are no gradients
    assert training_memory(SMALL, replace(ONE_RANK, infer_tokens=1000)).log_prob == state + 3 * 200_000
    chunked = training_memory(SMALL, replace(ONE_RANK, entropy_chunk=50))
    assert chunked.log_prob == state + max(200_000 + 3 * 50 * 100 * 4, 1000 * 220 * 2)


def test_entropy_in_the_loss_holds_four_times_the_logits() -> None:
    wide = replace(SMALL, vocabulary=10_000)
    plain, with_entropy = (
        training_memory(wide, replace(ONE_RANK, entropy_in_update=entropy)) for entropy in (False, True)
    )
    assert with_entropy.update - plain.update == 3 * plain.logits


def test_without_gradient_checkpointing_every_layer_keeps_everything() -> None:
    assert training_memory(SMALL, replace(ONE_RANK, checkpointing=False)).activations == 2 * 1000 * 220 * 2


def test_fused_kernels_hold_no_logits() -> None:
    assert training_memory(SMALL, replace(ONE_RANK, fused_logits=True)).logits == 0


def test_what_is_offloaded_leaves_the_rollout_alone_but_is_there_in_the_update() -> None:
    memory = training_memory(SMALL, ONE_RANK)
    assert memory.resident == 3 * 14_920
    optimizer_away = training_memory(SMALL, replace(ONE_RANK, optimizer_offloaded=True))
    all_away = training_memory(SMALL, replace(ONE_RANK, optimizer_offloaded=True, parameters_offloaded=True))
    assert (optimizer_away.resident, all_away.resident) == (14_920, 0)
    assert all_away.update == memory.update


def test_one_rank_that_computes_in_the_dtype_of_its_state_gathers_nothing() -> None:
    assert training_memory(SMALL, replace(ONE_RANK, compute_bytes=4)).gathered == 0
    assert training_memory(SMALL, replace(ONE_RANK, compute_bytes=4, shards=2)).gathered == 3730 * 4


def test_the_logits_of_an_8b_model_at_16k_tokens_are_4_6_gib() -> None:
    assert EIGHT_B is not None
    setup = TrainingSetup(shards=256, update_tokens=16384, infer_tokens=16384)
    memory = training_memory(EIGHT_B, setup)
    assert memory.logits == 16384 * 151936 * 2
    assert memory.logits / 2**30 == pytest.approx(4.64, abs=0.01)
    assert memory.activations == 36 * 16384 * 4096 * 2


def test_the_kv_cache_is_what_the_weights_leave_of_the_share() -> None:
    # Weights 3730 * 2 / 2; a token takes 2 * 2 layers * 1 head * 2 * 2 bytes on each of two GPUs.
    memory = rollout_memory(SMALL, share=OTHER_BYTES + 3730 + 160, tensor_parallel=2)
    assert (memory.weights, memory.kv_cache, memory.kv_tokens) == (3730, 160, 10)
    assert rollout_memory(SMALL, share=1000, tensor_parallel=2).kv_tokens == 0


def step(groups: GroupsConfig, **more: int) -> tuple[int, int, int, int]:
    sizes = {
        "batch": 128,
        "mini_batch": 16,
        "epochs": 1,
        "n": 8,
        "prompt_length": 4096,
        "response_length": 32768,
    } | more
    size = step_size(groups, **sizes)
    return size.prompts, size.most_prompts, size.trained, size.updates


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (GroupsConfig(mode="drop", generate=256), (256, 256, 128, 8)),
        (GroupsConfig(mode="drop"), (128, 128, 128, 8)),
        (GroupsConfig(mode="keep"), (128, 128, 128, 8)),
        (GroupsConfig(mode="refill"), (128, 1280, 128, 8)),
        (GroupsConfig(mode="refill", generate=64, max_generate=512), (64, 512, 128, 8)),
    ],
)
def test_what_a_step_generates_and_trains_on(groups: GroupsConfig, expected: tuple[int, int, int, int]) -> None:
    assert step(groups) == expected


def test_an_incomplete_mini_batch_is_an_update_and_epochs_repeat_them_all() -> None:
    assert step(GroupsConfig(), batch=120, mini_batch=32)[3] == 4
    assert step(GroupsConfig(), batch=120, mini_batch=32, epochs=2)[3] == 8


def test_the_tokens_of_the_papers_step() -> None:
    size = step_size(
        GroupsConfig(generate=256),
        batch=128,
        mini_batch=16,
        epochs=1,
        n=8,
        prompt_length=4096,
        response_length=32768,
    )
    assert (size.response_tokens, size.total_tokens) == (256 * 8 * 32768, 256 * 8 * 36864)
