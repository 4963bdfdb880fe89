# SPDX-License-Identifier: Apache-2.0
"""Names that verl looks up in its registries only when they are first used: loss, advantage estimator, trainer,
reward manager."""

from __future__ import annotations

from collections.abc import Iterable

from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError
from klear_verl.trainer.preflight.nearest import hint


def check_name(key: str, value: object, known: Iterable[str]) -> None:
    """Raises ConfigError, with the nearest known name, when `value` is not registered."""
    names = [str(name) for name in known]
    if str(value) not in names:
        raise ConfigError(f"{key}={value} is not registered", hint(str(value), names))


def check_registered_names(cfg: DictConfig) -> None:
    """Asks verl's registries for every name of an RL configuration. Imports verl (2 to 10 s, which a run needs anyway).

    Raises:
        ConfigError: names the option and the nearest registered name.
    """
    from verl.experimental.reward_loop.reward_manager import registry
    from verl.trainer.ppo import core_algos
    from verl.trainer.ppo.v1 import trainer_base

    losses, estimators = core_algos.POLICY_LOSS_REGISTRY, core_algos.ADV_ESTIMATOR_REGISTRY
    key = "actor_rollout_ref.actor.policy_loss.loss_mode"
    check_name(key, OmegaConf.select(cfg, key, default="vanilla"), losses)
    key = "algorithm.adv_estimator"
    check_name(key, OmegaConf.select(cfg, key), [getattr(name, "value", name) for name in estimators])
    if OmegaConf.select(cfg, "trainer.use_v1"):
        key = "trainer.v1.trainer_mode"
        check_name(key, OmegaConf.select(cfg, key), trainer_base.TRAINER_REGISTRY)
    if OmegaConf.select(cfg, "reward.reward_manager.source") == "register":
        key = "reward.reward_manager.name"
        check_name(key, OmegaConf.select(cfg, key), registry.REWARD_MANAGER)
