# SPDX-License-Identifier: Apache-2.0
"""What becomes of groups under verl's advantage estimators."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError

GROUP_ESTIMATORS = frozenset({"grpo", "grpo_vectorized", "grpo_passk", "rloo", "rloo_vectorized", "opo", "gpg"})
"""Compare the responses of one prompt with one another, and with nothing else: where all rewards of a group are equal,
every advantage is 0."""

RESPONSE_ESTIMATORS = frozenset({"gae", "reinforce_plus_plus"})
"""Give a response an advantage whatever the others of its group got."""

_ESTIMATOR = "algorithm.adv_estimator"
_GROUPS_MODE = "klear.groups.mode"
_N = "actor_rollout_ref.rollout.n"


def least_live(cfg: DictConfig) -> int:
    """How many responses of a group must be live for it to train: two where they are compared with one another."""
    return 1 if OmegaConf.select(cfg, _ESTIMATOR) in RESPONSE_ESTIMATORS else 2


def level_groups_have_no_advantage(cfg: DictConfig) -> bool:
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
