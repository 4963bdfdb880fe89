# SPDX-License-Identifier: Apache-2.0
"""Names that verl looks up in its registries only when they are first used: loss, advantage estimator, trainer,
reward manager."""

from __future__ import annotations

from collections.abc import Iterable

from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError
from klear_verl.utils.config import did_you_mean


def check_name(key: str, value: object, known: Iterable[str]) -> None:
    """Raises ConfigError, with the nearest known name, when `value` is not registered."""
    names = [str(name) for name in known]
    if str(value) not in names:
        raise ConfigError(f"{key}={value} is not registered", did_you_mean(str(value), sorted(names)))


STOCK = {
    "actor_rollout_ref.actor.policy_loss.loss_mode": {"gppo", "vanilla", "cispo"},
    "algorithm.adv_estimator": {"grpo", "gae"},
    "trainer.v1.trainer_mode": {"klear_sync", "sync"},
    "reward.reward_manager.name": {"klear", "naive"},
}
"""Names of verl 0.9.1 and ours that our recipes use: known without importing verl, which costs seconds and 0.5 GiB."""


def check_registered_names(cfg: DictConfig) -> None:
    """Asks verl's registries for those names of an RL configuration that are not in STOCK.

    Raises:
        ConfigError: names the option and the nearest registered name.
    """
    chosen = {key: OmegaConf.select(cfg, key) for key in STOCK}
    if not OmegaConf.select(cfg, "trainer.use_v1"):
        del chosen["trainer.v1.trainer_mode"]
    if OmegaConf.select(cfg, "reward.reward_manager.source") != "register":
        del chosen["reward.reward_manager.name"]
    unusual = {key: name for key, name in chosen.items() if name not in STOCK[key]}
    if not unusual:
        return
    registries = _registries()
    for key, name in unusual.items():
        check_name(key, name, registries[key])


def _registries() -> dict[str, list[str]]:
    """The registered names, by the option that chooses among them. Imports verl, and with it every plugin."""
    from verl.experimental.reward_loop.reward_manager import registry
    from verl.trainer.ppo import core_algos
    from verl.trainer.ppo.v1 import trainer_base

    return {
        "actor_rollout_ref.actor.policy_loss.loss_mode": list(core_algos.POLICY_LOSS_REGISTRY),
        "algorithm.adv_estimator": [getattr(name, "value", name) for name in core_algos.ADV_ESTIMATOR_REGISTRY],
        "trainer.v1.trainer_mode": list(trainer_base.TRAINER_REGISTRY),
        "reward.reward_manager.name": list(registry.REWARD_MANAGER),
    }
