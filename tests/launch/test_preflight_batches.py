# SPDX-License-Identifier: Apache-2.0
"""Batch sizes that do not fit are named before the engines start."""

from __future__ import annotations

from typing import Any

import pytest

from klear_verl.errors import ConfigError
from klear_verl.launch.preflight.batches import (
    check_context,
    check_dataset_covers_a_batch,
    check_epochs_cover_the_steps,
    check_groups,
    check_rl_batches,
    check_rollout_scheduler,
    check_sft_batches,
    unused_nodes,
)
from klear_verl.launch.preflight.model import ModelFacts
from klear_verl.launch.preflight.view import RLView, SFTView
from klear_verl.trainer.config import KlearConfig
from tests.launch.preflight_samples import rl_view, sft_view

ACTOR = "actor_rollout_ref__actor__"
ROLLOUT = "actor_rollout_ref__rollout__"


def rl(**overrides: Any) -> RLView:
    base = {
        "trainer__n_gpus_per_node": 4,
        ACTOR + "ppo_micro_batch_size_per_gpu": 4,
        ROLLOUT + "tensor_model_parallel_size": 2,
    }
    return rl_view({key.replace("__", "."): value for key, value in (base | overrides).items()})


def test_the_papers_arithmetic_passes() -> None:
    check_rl_batches(rl())


@pytest.mark.parametrize(
    ("override", "value", "said"),
    [
        ("data__train_batch_size", 100, "not a multiple of actor_rollout_ref.actor.ppo_mini_batch_size=16"),
        ("data__train_batch_size", 8, "not a multiple"),
        ("trainer__n_gpus_per_node", 6, "cannot be split over 6 data-parallel ranks"),
        (ACTOR + "ppo_micro_batch_size_per_gpu", 5, "ppo_micro_batch_size_per_gpu=5"),
        (ACTOR + "ulysses_sequence_parallel_size", 3, "ulysses_sequence_parallel_size=3"),
        (ROLLOUT + "tensor_model_parallel_size", 3, "rollout engines of 3"),
        ("data__train_batch_size", "many", "data.train_batch_size='many'"),
        ("data__train_batch_size", 0, "not a positive whole number"),
    ],
)
def test_misfit_is_named(override: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")) as caught:
        check_rl_batches(rl(**{override: value}))
    assert caught.value.remedy


def test_sequence_parallel_ranks_are_not_data_parallel_ones() -> None:
    # 16 * 8 = 128 responses: not over 6 ranks, but over the 2 groups of 3 (with one rollout engine per rank).
    check_rl_batches(
        rl(
            trainer__n_gpus_per_node=6,
            **{ACTOR + "ulysses_sequence_parallel_size": 3, ROLLOUT + "tensor_model_parallel_size": 1},
        )
    )


def test_ranks_may_outnumber_the_prompts_of_a_mini_batch() -> None:
    # 2 prompts x 8 responses are one response for each of 16 ranks.
    sizes = {ACTOR + "ppo_mini_batch_size": 2, ACTOR + "ppo_micro_batch_size_per_gpu": 1}
    check_rl_batches(rl(trainer__n_gpus_per_node=16, **sizes))


def test_dynamic_micro_batch_must_hold_one_sequence() -> None:
    override = {ACTOR + "use_dynamic_bsz": True, ACTOR + "ppo_max_token_len_per_gpu": 36863}
    with pytest.raises(ConfigError, match="ppo_max_token_len_per_gpu holds 36863 tokens"):
        check_rl_batches(rl(**override))
    check_rl_batches(rl(**{**override, ACTOR + "ppo_max_token_len_per_gpu": 36864}))


def dynamic(**more: object) -> dict[str, object]:
    """The paper's budget: a quarter of the longest sequence on each of 4 sequence-parallel ranks, with room."""
    sizes = {ACTOR + "use_dynamic_bsz": True, ACTOR + "ppo_max_token_len_per_gpu": 9216, ROLLOUT + "n": 8}
    return {**sizes, ACTOR + "ulysses_sequence_parallel_size": 4, **more}


def test_the_token_budget_counts_on_every_sequence_parallel_rank() -> None:
    # 4096 + 32768 = 36864 = 4 * 9216.
    check_rl_batches(rl(**dynamic()))
    with pytest.raises(
        ConfigError, match=r"holds 36860 tokens \(9215 on each of 4 sequence-parallel ranks\)"
    ) as caught:
        check_rl_batches(rl(**dynamic(**{ACTOR + "ppo_max_token_len_per_gpu": 9215})))
    assert "at least 9216" in caught.value.remedy


def test_the_log_probability_pass_must_hold_one_sequence_too() -> None:
    with pytest.raises(ConfigError, match=r"rollout\.log_prob_max_token_len_per_gpu holds 36860 tokens"):
        check_rl_batches(rl(**dynamic(**{ROLLOUT + "log_prob_max_token_len_per_gpu": 9215})))


def test_the_reference_models_budget_counts_only_where_there_is_one() -> None:
    budget = {"actor_rollout_ref__ref__log_prob_max_token_len_per_gpu": 36863}
    check_rl_batches(rl(**dynamic(**budget)))
    with pytest.raises(ConfigError, match=r"ref\.log_prob_max_token_len_per_gpu holds 36863"):
        check_rl_batches(rl(**dynamic(**budget, **{ACTOR + "use_kl_loss": True})))


def test_the_token_budget_must_hold_verls_padding_samples() -> None:
    short = {
        "data__max_prompt_length": 32,
        "data__max_response_length": 32,
        ACTOR + "ulysses_sequence_parallel_size": 1,
    }
    check_rl_batches(rl(**dynamic(**short, **{ACTOR + "ppo_max_token_len_per_gpu": 128})))
    with pytest.raises(ConfigError, match=r"holds 127 tokens, less than .*padding sample of verl's: 128"):
        check_rl_batches(rl(**dynamic(**short, **{ACTOR + "ppo_max_token_len_per_gpu": 127})))


@pytest.mark.parametrize(("actor", "rollout"), [(True, False), (False, True)])
def test_update_and_log_probability_pass_are_both_dynamic_or_neither(actor: bool, rollout: bool) -> None:
    override = {ACTOR + "use_dynamic_bsz": actor, ROLLOUT + "log_prob_use_dynamic_bsz": rollout}
    with pytest.raises(ConfigError, match=f"use_dynamic_bsz={actor}, but .*log_prob_use_dynamic_bsz={rollout}"):
        check_rl_batches(rl(**override))


def test_the_micro_batch_of_the_log_probability_pass_must_divide_too() -> None:
    # 16 * 8 / 4 = 32 responses per rank.
    with pytest.raises(ConfigError, match=r"32 responses per rank .*rollout\.log_prob_micro_batch_size_per_gpu=5"):
        check_rl_batches(rl(**{ROLLOUT + "log_prob_micro_batch_size_per_gpu": 5}))


def test_vllm_needs_a_token_for_every_sequence() -> None:
    sizes = {ROLLOUT + "max_num_seqs": 256, ROLLOUT + "max_num_batched_tokens": 256}
    check_rollout_scheduler(rl(**sizes))
    with pytest.raises(ConfigError, match=r"max_num_batched_tokens=255 is less than .*max_num_seqs=256"):
        check_rollout_scheduler(rl(**{**sizes, ROLLOUT + "max_num_batched_tokens": 255}))


def test_prompt_and_response_must_fit_the_context() -> None:
    short = ModelFacts("m", {"max_position_embeddings": 36863}, 0)
    with pytest.raises(ConfigError, match="36864 tokens, over max_position_embeddings of m = 36863"):
        check_context(rl(), short)
    check_context(rl(), ModelFacts("m", {"max_position_embeddings": 36864}, 0))


def test_prompt_and_response_must_fit_max_model_len() -> None:
    with pytest.raises(ConfigError, match="max_model_len = 100"):
        check_context(rl(**{ROLLOUT + "max_model_len": 100}), ModelFacts("m", {}, 0))


def test_fewer_rows_than_a_batch_are_named() -> None:
    with pytest.raises(ConfigError, match=r"data\.train_files has 15 usable rows"):
        check_dataset_covers_a_batch(15, 16, "data.train_files")
    check_dataset_covers_a_batch(16, 16, "data.train_files")
    with pytest.raises(ConfigError, match=r"klear\.groups\.generate=32 needs at least 32"):
        check_dataset_covers_a_batch(31, 32, "data.train_files", "klear.groups.generate")


def sft(train: int, micro: int, dynamic: bool = False, **more: Any) -> SFTView:
    sizes = {"train_batch_size": train, "micro_batch_size_per_gpu": micro, "use_dynamic_bsz": dynamic, **more}
    changes = {f"data.{name}": value for name, value in sizes.items()}
    return sft_view({**changes, "engine": {"ulysses_sequence_parallel_size": 4}} if more else changes)


def test_sft_batch_must_split_over_ranks_and_micro_batches() -> None:
    check_sft_batches(sft(16, 4), 2)
    with pytest.raises(ConfigError, match="cannot be split over 3"):
        check_sft_batches(sft(16, 4), 3)
    with pytest.raises(ConfigError, match="8 rows per rank"):
        check_sft_batches(sft(16, 3), 2)
    check_sft_batches(sft(16, 3, dynamic=True), 2)


def test_sft_token_budget_must_hold_the_longest_row() -> None:
    with pytest.raises(ConfigError, match=r"8191 \* 4 sequence-parallel ranks hold 32764 tokens") as caught:
        check_sft_batches(sft(16, 4, dynamic=True, max_token_len_per_gpu=8191), 4)
    assert "at least 8192" in caught.value.remedy
    check_sft_batches(sft(16, 4, dynamic=True, max_token_len_per_gpu=8192), 4)


def test_steps_beyond_the_last_epoch_are_refused_with_the_epochs_they_need() -> None:
    # 70 rows make 4 steps of 16 an epoch: 12 in three epochs.
    def check(steps: int | None) -> None:
        trainer = rl(trainer__total_epochs=3, trainer__total_training_steps=steps).trainer
        check_epochs_cover_the_steps(trainer, 70, 16, "data.train_batch_size")

    check(12)
    check(None)
    with pytest.raises(ConfigError, match="total_epochs=3 times 70 rows make 12 steps") as caught:
        check(13)
    assert "trainer.total_epochs to 4" in caught.value.remedy


def groups(trainer: str = "klear_sync", limit: int = 32768, **klear: Any) -> RLView:
    changes = {"trainer.v1.trainer_mode": trainer, "data.max_response_length": limit}
    return rl_view(changes, KlearConfig.model_validate(klear))


@pytest.mark.parametrize("generate", [128, 256, None])
def test_as_many_prompts_as_the_batch_or_more_pass(generate: int | None) -> None:
    check_groups(groups(groups={"mode": "drop", "generate": generate}))


def test_fewer_prompts_than_the_batch_are_refused_where_no_more_are_generated() -> None:
    with pytest.raises(ConfigError, match=r"generate=127 .* data\.train_batch_size=128") as caught:
        check_groups(groups(groups={"mode": "drop", "generate": 127}))
    assert "klear.groups.generate=256" in caught.value.remedy
    check_groups(groups(groups={"mode": "refill", "generate": 127}))


def test_a_refill_must_be_allowed_the_batch() -> None:
    check_groups(groups(groups={"mode": "refill", "max_generate": 128}))
    with pytest.raises(ConfigError, match="max_generate=127"):
        check_groups(groups(groups={"mode": "refill", "max_generate": 127}))


def test_a_penalty_over_the_whole_length_is_refused_and_any_other_mode_ignores_the_buffer() -> None:
    overlong = {"buffer_tokens": 4096}
    check_groups(groups(limit=4097, overlong={"mode": "penalty", **overlong}))
    check_groups(groups(limit=64, overlong={"mode": "mask", **overlong}))
    with pytest.raises(ConfigError, match=r"buffer_tokens=4096 is not less than data\.max_response_length=4096"):
        check_groups(groups(limit=4096, overlong={"mode": "penalty", **overlong}))


def test_what_another_trainer_never_looks_at_is_noted() -> None:
    asked = {"groups": {"mode": "refill"}, "overlong": {"mode": "keep"}}
    assert unused_nodes(groups(**asked)) == unused_nodes(groups("sync")) == []
    (note,) = unused_nodes(groups("sync", **asked))
    assert "klear.groups and klear.overlong" in note and "trainer.v1.trainer_mode=sync" in note
