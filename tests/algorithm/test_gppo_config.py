# SPDX-License-Identifier: Apache-2.0
"""The loss's configuration: how verl builds it, what is refused, and what the messages name."""

import pickle
import subprocess
import sys

import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.config import PolicyLossConfig

from klear_verl.algorithm import GPPOLossConfig, compute_policy_loss_gppo, gppo_loss
from klear_verl.errors import ConfigError, KlearError
from tests.algorithm.gppo_reference import actor_config, random_batch

ACTOR = "actor_rollout_ref.actor"
OURS = f"{ACTOR}.policy_loss._target_=klear_verl.algorithm.GPPOLossConfig"


def actor_of_stock_verl(*overrides):
    """The actor config a worker of `python -m verl.trainer.main_ppo` builds from these overrides."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", [f"{ACTOR}.ppo_micro_batch_size_per_gpu=1", *overrides])
    return omega_conf_to_dataclass(config.actor_rollout_ref.actor)


def loss_of(config, **changes):
    return compute_policy_loss_gppo(**random_batch(**changes), loss_agg_mode="token-mean", config=config)[0]


def test_defaults_are_the_papers():
    options = GPPOLossConfig()
    assert (options.loss_mode, options.beta1, options.beta2, options.dual_clip, options.positive_lm_coef) == (
        "gppo",
        1.0,
        1.0,
        "off",
        0.0,
    )


def test_stock_verl_with_loss_mode_alone_runs_the_papers_setting():
    stock = actor_of_stock_verl(f"{ACTOR}.policy_loss.loss_mode=gppo", f"{ACTOR}.clip_ratio_high=0.28")
    assert type(stock.policy_loss) is PolicyLossConfig
    assert torch.equal(loss_of(stock), loss_of(actor_config(GPPOLossConfig())))


def test_stock_verl_builds_our_class_from_overrides():
    overrides = [OURS, f"{ACTOR}.policy_loss.loss_mode=gppo", f"{ACTOR}.clip_ratio_high=0.28"]
    betas = [f"+{ACTOR}.policy_loss.beta1=0.5", f"+{ACTOR}.policy_loss.dual_clip=off"]
    actor = actor_of_stock_verl(*overrides, *betas)
    assert type(actor.policy_loss) is GPPOLossConfig
    assert torch.equal(loss_of(actor), loss_of(actor_config(GPPOLossConfig(beta1=0.5))))
    assert not torch.equal(loss_of(actor), loss_of(actor_config(GPPOLossConfig())))


def test_our_class_also_carries_verls_other_losses():
    assert actor_of_stock_verl(OURS, f"{ACTOR}.policy_loss.loss_mode=cispo").policy_loss.loss_mode == "cispo"


@pytest.mark.parametrize("struct", [False, True])
def test_an_unbuilt_omegaconf_node_is_read_with_defaults_for_absent_fields(struct):
    node = OmegaConf.create({"loss_mode": "gppo", "beta2": 0.5})
    OmegaConf.set_struct(node, struct)
    assert GPPOLossConfig.from_policy_loss(node) == GPPOLossConfig(beta2=0.5)


def test_a_bare_off_in_a_yaml_recipe_means_off():
    node = OmegaConf.create("dual_clip: off")
    assert GPPOLossConfig(**node).dual_clip == "off"


def test_survives_pickling_to_a_worker():
    options = GPPOLossConfig(beta1=0.5, dual_clip="preserve")
    assert pickle.loads(pickle.dumps(options)) == options


@pytest.mark.parametrize(
    "field, value",
    [
        ("beta1", -0.1),
        ("beta2", float("nan")),
        ("beta1", "0.5"),
        ("beta2", True),
        ("dual_clip", "on"),
        ("dual_clip", True),
        ("positive_lm_coef", float("inf")),
    ],
)
def test_a_bad_option_is_refused_by_its_full_name(field, value):
    with pytest.raises(ConfigError, match=rf"actor_rollout_ref\.actor\.policy_loss\.{field}"):
        GPPOLossConfig(**{field: value})


@pytest.mark.parametrize("field, value", [("clip_ratio_low", 1.5), ("clip_ratio_low", -0.1), ("clip_ratio_high", -0.1)])
def test_a_clip_range_without_a_band_is_refused_by_its_full_name(field, value):
    with pytest.raises(ConfigError, match=rf"actor_rollout_ref\.actor\.{field}"):
        loss_of(actor_config(**{field: value}))


def test_a_dual_clip_bound_of_one_or_less_is_refused_while_dual_clip_is_on():
    with pytest.raises(ConfigError, match=r"actor_rollout_ref\.actor\.clip_ratio_c"):
        loss_of(actor_config(GPPOLossConfig(dual_clip="preserve"), clip_ratio_c=1.0))


def test_dual_clip_off_ignores_clip_ratio_c():
    batch = {"spread": 2.0}
    assert torch.equal(
        loss_of(actor_config(clip_ratio_c=0.1), **batch), loss_of(actor_config(clip_ratio_c=10), **batch)
    )


def test_clip_ratio_stands_in_for_a_missing_side():
    symmetric = actor_config(clip_ratio=0.3, clip_ratio_low=None, clip_ratio_high=None)
    assert torch.equal(loss_of(symmetric), loss_of(actor_config(clip_ratio_low=0.3, clip_ratio_high=0.3)))


def test_positive_lm_is_refused_by_a_trainer_that_does_not_add_it():
    with pytest.raises(ConfigError, match=r"positive_lm_coef=0\.1.*\n.*klear_sync"):
        loss_of(actor_config(GPPOLossConfig(positive_lm_coef=0.1)))


def test_a_trainer_that_adds_positive_lm_itself_can_have_the_gppo_term():
    asked = GPPOLossConfig(beta1=0.5, positive_lm_coef=0.1)
    plain = loss_of(actor_config(GPPOLossConfig(beta1=0.5)))
    assert torch.equal(gppo_loss(**random_batch(), loss_agg_mode="token-mean", config=actor_config(asked))[0], plain)


def test_a_missing_config_is_an_error_with_a_remedy():
    with pytest.raises(KlearError, match="remedy"):
        compute_policy_loss_gppo(**random_batch(), config=None)


def test_importing_the_package_imports_neither_torch_nor_verl():
    code = "import sys, klear_verl.algorithm; print(sorted({'torch', 'verl'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=250)
    assert result.stdout.strip() == "[]"
