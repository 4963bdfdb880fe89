# SPDX-License-Identifier: Apache-2.0
"""Groups and lengths that cannot work out are named with their numbers."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError
from klear_verl.launch.preflight.groups import check_groups, unused
from klear_verl.trainer.compatibility import check_refused
from klear_verl.trainer.config import KlearConfig


def cfg(trainer: str = "klear_sync", **data: Any) -> DictConfig:
    sizes = {"train_batch_size": 128, "max_response_length": 32768, **data}
    return OmegaConf.create({"trainer": {"v1": {"trainer_mode": trainer}}, "data": sizes})


def klear(**nodes: Any) -> KlearConfig:
    return KlearConfig.model_validate(nodes)


@pytest.mark.parametrize("generate", [128, 256, None])
def test_as_many_prompts_as_the_batch_or_more_pass(generate: int | None) -> None:
    check_groups(cfg(), klear(groups={"mode": "drop", "generate": generate}))


def test_fewer_prompts_than_the_batch_are_refused_where_no_more_are_generated() -> None:
    with pytest.raises(ConfigError, match=r"generate=127 .* data\.train_batch_size=128") as caught:
        check_groups(cfg(), klear(groups={"mode": "drop", "generate": 127}))
    assert "klear.groups.generate=256" in caught.value.remedy
    check_groups(cfg(), klear(groups={"mode": "refill", "generate": 127}))


def test_a_refill_must_be_allowed_the_batch() -> None:
    check_groups(cfg(), klear(groups={"mode": "refill", "max_generate": 128}))
    with pytest.raises(ConfigError, match="max_generate=127"):
        check_groups(cfg(), klear(groups={"mode": "refill", "max_generate": 127}))


def test_a_penalty_over_the_whole_length_is_refused_and_any_other_mode_ignores_the_buffer() -> None:
    overlong = {"buffer_tokens": 4096}
    check_groups(cfg(max_response_length=4097), klear(overlong={"mode": "penalty", **overlong}))
    check_groups(cfg(max_response_length=64), klear(overlong={"mode": "mask", **overlong}))
    with pytest.raises(ConfigError, match=r"buffer_tokens=4096 is not less than data\.max_response_length=4096"):
        check_groups(cfg(max_response_length=4096), klear(overlong={"mode": "penalty", **overlong}))


def test_a_batch_size_that_is_no_number_is_named() -> None:
    with pytest.raises(ConfigError, match=r"data\.train_batch_size='many'"):
        check_groups(cfg(train_batch_size="many"), klear())


def test_what_another_trainer_never_looks_at_is_noted() -> None:
    asked = klear(groups={"mode": "refill"}, overlong={"mode": "keep"})
    assert unused(cfg(), asked) == unused(cfg("sync"), klear()) == []
    (note,) = unused(cfg("sync"), asked)
    assert "klear.groups and klear.overlong" in note and "trainer.v1.trainer_mode=sync" in note


@pytest.mark.parametrize(
    "key",
    [
        "algorithm.filter_groups.enable",
        "actor_rollout_ref.actor.shuffle",
        "actor_rollout_ref.actor.checkpoint.async_save",
        "distillation.enabled",
    ],
)
def test_what_would_undo_klear_sync_is_refused_for_it_alone(key: str) -> None:
    for trainer in ("klear_sync", "sync"):
        config = cfg(trainer)
        OmegaConf.update(config, key, False)
        check_refused(config)
        OmegaConf.update(config, key, True)
        if trainer == "sync":
            check_refused(config)
            continue
        with pytest.raises(ConfigError, match=f"{key}=True cannot be used") as caught:
            check_refused(config)
        assert caught.value.remedy
