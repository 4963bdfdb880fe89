# SPDX-License-Identifier: Apache-2.0
"""Options that do not go together with the trainer, or without it, and what becomes of groups under verl's advantage
estimators. Checked before the start by `klear train`, and by the trainer itself, for those who start it by verl's own
`main_ppo`."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError
from klear_verl.trainer.config import POSITIVE_LM

TRAINER_MODE = "trainer.v1.trainer_mode"
_ACTOR = "actor_rollout_ref.actor"
_CORRECTION = "algorithm.rollout_correction"
_ESTIMATOR = "algorithm.adv_estimator"
_GROUPS_MODE = "klear.groups.mode"
_N = "actor_rollout_ref.rollout.n"

GROUP_ESTIMATORS = frozenset({"grpo", "grpo_vectorized", "grpo_passk", "rloo", "rloo_vectorized", "opo", "gpg"})
"""Compare the responses of one prompt with one another, and with nothing else: where all rewards of a group are equal,
every advantage is 0."""

RESPONSE_ESTIMATORS = frozenset({"gae", "reinforce_plus_plus"})
"""Give a response an advantage whatever the others of its group got."""

_REFUSED = {
    "algorithm.filter_groups.enable": ("it is the filter of verl's own trainers", "use klear.groups.mode=refill"),
    "data.gen_batch_size": (
        "it fetches as many prompts at a time as it generates",
        "set it to null, and klear.groups.generate to the number of prompts to generate",
    ),
    f"{_ACTOR}.shuffle": (
        "it would reshuffle the mini-batches that klear_sync has laid out",
        "set it to false; data.shuffle shuffles the prompts",
    ),
    f"{_ACTOR}.checkpoint.async_save": (
        "klear_sync renames a checkpoint once it is complete, and must know when",
        "set it to false",
    ),
    "trainer.remove_previous_ckpt_in_save": (
        "klear_sync removes old checkpoints itself",
        "set it to false, and trainer.max_actor_ckpt_to_keep=1",
    ),
    "trainer.v1.sampler.custom_sampler.path": ("klear_sync has a replay buffer of its own", "set it to null"),
    "trainer.v1.sampler.sync_refill_failed_groups": (
        "klear_sync has a replay buffer of its own",
        "set it to false; klear.groups.mode=refill replaces groups",
    ),
    "skip.rollout_tq.enable": ("klear_sync has a replay buffer of its own", "set it to false"),
    "distillation.enabled": ("klear_sync has a loss function of its own", f"set {TRAINER_MODE}=sync for distillation"),
}
"""Options of verl that would undo what `klear_sync` does, or be ignored by it: why, and what to do."""

_CUT_DEPENDENT = frozenset({"geo_mean", "clip_cov", "kl_cov"})
"""Policy losses of verl 0.9.1 that take a mean, or a largest share, over the micro-batch at hand: what they train on
depends on how a mini-batch is cut (core_algos.py)."""


def check_refused(cfg: DictConfig) -> None:
    """Refuses, by trainer, what it cannot do.

    Raises:
        ConfigError: names option and remedy.
    """
    if OmegaConf.select(cfg, "trainer.val_only") and not OmegaConf.select(cfg, "trainer.val_before_train"):
        raise ConfigError(
            "trainer.val_only=true does nothing with trainer.val_before_train=false: verl would train",
            "set trainer.val_before_train=true too",
        )
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
    if (steps := OmegaConf.select(cfg, "trainer.v1.sync.parameter_sync_step") or 1) > 1:
        raise ConfigError(
            f"trainer.v1.sync.parameter_sync_step={steps}: klear_sync trains on all that a step generated at once",
            f"set it to 1; {_ACTOR}.ppo_mini_batch_size says how many updates a step makes",
        )
    check_groups_of_estimator(cfg)
    _check_losses(cfg)
    _check_rollout_correction(cfg)
    if OmegaConf.select(cfg, "algorithm.use_kl_in_reward") and (
        OmegaConf.select(cfg, "algorithm.kl_ctrl.type") == "adaptive"
    ):
        raise ConfigError(
            "algorithm.kl_ctrl.type=adaptive: its coefficient is in no checkpoint, and a continued run would train on "
            "other rewards",
            "set it to fixed",
        )
    if uses_critic(cfg):
        _check_critic(cfg)


def _check_losses(cfg: DictConfig) -> None:
    """Losses whose value depends on how a mini-batch is cut into micro-batches and ranks."""
    mode = OmegaConf.select(cfg, f"{_ACTOR}.policy_loss.loss_mode")
    if mode in _CUT_DEPENDENT:
        raise ConfigError(
            f"{_ACTOR}.policy_loss.loss_mode={mode} depends on how a mini-batch is cut into micro-batches: verl takes "
            "its statistics over the micro-batch",
            f"use another loss, or {TRAINER_MODE}=sync to have it as it is",
        )
    for role in (_ACTOR, "critic"):
        norm = OmegaConf.select(cfg, f"{role}.loss_agg_mode") == "seq-mean-token-sum-norm"
        if norm and not OmegaConf.select(cfg, f"{role}.loss_scale_factor") and (role == _ACTOR or uses_critic(cfg)):
            raise ConfigError(
                f"{role}.loss_agg_mode=seq-mean-token-sum-norm divides by the longest response of the micro-batch at "
                f"hand where {role}.loss_scale_factor is null",
                f"set {role}.loss_scale_factor to data.max_response_length",
            )


def _check_rollout_correction(cfg: DictConfig) -> None:
    """Corrections that verl's v1 trainers would leave out without a word."""
    wanted = [
        f"{_CORRECTION}.{key}" for key in ("rollout_is", "rollout_rs") if OmegaConf.select(cfg, f"{_CORRECTION}.{key}")
    ]
    if not wanted:
        return
    if OmegaConf.select(cfg, f"{_CORRECTION}.bypass_mode"):
        raise ConfigError(
            f"{_CORRECTION}.bypass_mode=true leaves out {wanted[0]}", "set one of the two to null or false"
        )
    if not OmegaConf.select(cfg, "actor_rollout_ref.rollout.calculate_log_probs"):
        raise ConfigError(
            f"{wanted[0]} compares with the log-probabilities of the rollout, which "
            "actor_rollout_ref.rollout.calculate_log_probs=false does not keep",
            "set it to true",
        )


def uses_critic(cfg: DictConfig) -> bool:
    """Whether verl will train a critic."""
    enabled = OmegaConf.select(cfg, "critic.enable")
    return bool(OmegaConf.select(cfg, "algorithm.adv_estimator") == "gae" if enabled is None else enabled)


def _check_critic(cfg: DictConfig) -> None:
    """A batch is laid out as the actor's mini-batches, and the critic must cut it in the same places; and a checkpoint
    holds both."""
    for actor_key, critic_key, shared in (
        (f"{_ACTOR}.ppo_mini_batch_size", "critic.ppo_mini_batch_size", "mini-batches"),
        ("trainer.max_actor_ckpt_to_keep", "trainer.max_critic_ckpt_to_keep", "checkpoints"),
    ):
        actor, critic = OmegaConf.select(cfg, actor_key), OmegaConf.select(cfg, critic_key)
        if critic is not None and actor != critic:
            raise ConfigError(
                f"{critic_key}={critic} differs from {actor_key}={actor}, but with klear_sync the actor and the critic "
                f"share their {shared}",
                "set both to one value",
            )
    if OmegaConf.select(cfg, "critic.shuffle"):
        raise ConfigError(
            "critic.shuffle=true would reshuffle the mini-batches that klear_sync has laid out", "set it to false"
        )


def least_live(cfg: DictConfig) -> int:
    """How many responses of a group must be live for it to train: two where they are compared with one another."""
    return 1 if OmegaConf.select(cfg, _ESTIMATOR) in RESPONSE_ESTIMATORS else 2


def zero_std_groups_have_no_advantage(cfg: DictConfig) -> bool:
    """Whether equal rewards make a group's advantages 0. A KL term in the reward tells responses apart all the same."""
    return OmegaConf.select(cfg, _ESTIMATOR) in GROUP_ESTIMATORS and not OmegaConf.select(
        cfg, "algorithm.use_kl_in_reward"
    )


def check_group_size(cfg: DictConfig) -> None:
    """Raises ConfigError where there is one response to a prompt, and the estimator compares several."""
    estimator, n = OmegaConf.select(cfg, _ESTIMATOR), OmegaConf.select(cfg, _N)
    if n == 1 and estimator in GROUP_ESTIMATORS:
        raise ConfigError(f"{_N}=1: {_ESTIMATOR}={estimator} compares responses of a group", f"set {_N}≥2")


def check_groups_of_estimator(cfg: DictConfig) -> None:
    """As check_group_size, for what the trainer `klear_sync` does with groups: it must leave out none that the
    estimator has a use for."""
    check_group_size(cfg)
    estimator, n = OmegaConf.select(cfg, _ESTIMATOR), OmegaConf.select(cfg, _N)
    if estimator == "remax":
        raise ConfigError(
            f"{_ESTIMATOR}=remax needs a greedy response to each prompt, which verl's v1 trainers do not generate",
            f"set {_ESTIMATOR}=grpo",
        )
    if estimator in RESPONSE_ESTIMATORS:
        mode = OmegaConf.select(cfg, _GROUPS_MODE, default="drop")
        if mode != "keep":
            raise ConfigError(
                f"{_GROUPS_MODE}={mode} leaves out groups whose responses score the same, but with "
                f"{_ESTIMATOR}={estimator} they have advantages like any other",
                f"set {_GROUPS_MODE}=keep",
            )
    elif n == 1:
        raise ConfigError(
            f"{_N}=1: klear_sync takes {_ESTIMATOR}={estimator} to compare responses of a group", f"set {_N}≥2"
        )
