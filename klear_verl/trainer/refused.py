# SPDX-License-Identifier: Apache-2.0
"""Options that do not go together with the trainer, or without it. Checked before the start by `klear train`, and by
the trainer itself, for those who start it by verl's own `main_ppo`."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError

TRAINER_MODE = "trainer.v1.trainer_mode"
POSITIVE_LM = "actor_rollout_ref.actor.policy_loss.positive_lm_coef"

_REFUSED = {
    "algorithm.filter_groups.enable": ("it is the filter of verl's own trainers", "use klear.groups.mode=refill"),
    "actor_rollout_ref.actor.shuffle": (
        "it would reshuffle the mini-batches that klear_sync has laid out",
        "set it to false; data.shuffle shuffles the prompts",
    ),
    "actor_rollout_ref.actor.checkpoint.async_save": (
        "klear_sync renames a checkpoint once it is complete, and must know when",
        "set it to false",
    ),
    "trainer.v1.sampler.custom_sampler.path": ("klear_sync has a replay buffer of its own", "set it to null"),
    "distillation.enabled": ("klear_sync has a loss function of its own", f"set {TRAINER_MODE}=sync for distillation"),
}
"""Options of verl that would undo what `klear_sync` does: why, and what to do."""


def check_refused(cfg: DictConfig) -> None:
    """Refuses, by trainer, what it cannot do.

    Raises:
        ConfigError: names option and remedy.
    """
    if OmegaConf.select(cfg, TRAINER_MODE) == "klear_sync":
        check_klear_sync(cfg)
    elif alpha := OmegaConf.select(cfg, POSITIVE_LM):
        raise ConfigError(
            f"{POSITIVE_LM}={alpha}: no language-model loss on correct rollouts with "
            f"{TRAINER_MODE}={OmegaConf.select(cfg, TRAINER_MODE)}",
            f"set it to 0, or {TRAINER_MODE}=klear_sync",
        )


def check_klear_sync(cfg: DictConfig) -> None:
    """As check_refused, for `klear_sync`."""
    for key, (why, remedy) in _REFUSED.items():
        if value := OmegaConf.select(cfg, key):
            raise ConfigError(f"{key}={value} cannot be used with {TRAINER_MODE}=klear_sync: {why}", remedy)
    model = OmegaConf.select(cfg, "reward.reward_model")
    if model is not None and model.get("enable") and not model.get("enable_resource_pool"):
        raise ConfigError(
            "reward.reward_model.enable=true on the trainer's devices scores after sampling, but klear_sync chooses "
            "groups by their rewards while sampling",
            "set reward.reward_model.enable_resource_pool=true",
        )
    if uses_critic(cfg):
        _check_critic(cfg)


def uses_critic(cfg: DictConfig) -> bool:
    """Whether verl will train a critic."""
    enabled = OmegaConf.select(cfg, "critic.enable")
    return bool(OmegaConf.select(cfg, "algorithm.adv_estimator") == "gae" if enabled is None else enabled)


def _check_critic(cfg: DictConfig) -> None:
    """A batch has as many rows as its actor mini-batches, and the critic must be able to cut it too."""
    actor, critic = (
        OmegaConf.select(cfg, key)
        for key in ("actor_rollout_ref.actor.ppo_mini_batch_size", "critic.ppo_mini_batch_size")
    )
    if actor != critic:
        raise ConfigError(
            f"critic.ppo_mini_batch_size={critic} differs from actor_rollout_ref.actor.ppo_mini_batch_size={actor}, by "
            "which klear_sync lays the mini-batches out",
            "set both to one value",
        )
