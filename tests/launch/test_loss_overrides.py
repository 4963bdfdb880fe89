# SPDX-License-Identifier: Apache-2.0
"""The override group `loss`: `klear train RECIPE loss=NAME` changes the loss and nothing else."""

import functools
import math

import pytest
import torch
from omegaconf import OmegaConf

from klear_verl.launch.compose import compose
from klear_verl.launch.recipes import recipes_root

ACTOR = "actor_rollout_ref.actor"
KEYS = ("policy_loss.loss_mode", "clip_ratio_low", "clip_ratio_high", "clip_ratio_c")
LOSSES = {
    "gppo": ("gppo", 0.2, 0.28, 3.0),
    "clip_higher": ("vanilla", 0.2, 0.28, 1e9),
    "cispo": ("cispo", 0.2, 0.28, 3.0),
    "grpo": ("vanilla", 0.2, 0.2, 1e9),
}
RATIOS = (1e-8, 0.5, 0.79, 0.81, 1.0, 1.19, 1.21, 1.27, 1.29, 2.9, 3.1, 10.0, 1e8)
ADVANTAGES = (-2.0, 0.0, 1.5)


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch):
    monkeypatch.setenv("VERL_PLATFORM", "cpu")


@functools.cache
def configuration(*overrides, recipe="quickstart/math_rl"):
    return OmegaConf.to_container(compose(recipe, overrides, kind="rl"), resolve=True)


def values(config):
    return tuple(OmegaConf.select(OmegaConf.create(config), f"{ACTOR}.{key}") for key in KEYS)


def differences(first, second, prefix=""):
    if isinstance(first, dict) and isinstance(second, dict):
        inside = (differences(first.get(key), second.get(key), f"{prefix}.{key}") for key in first.keys() | second)
        return set().union(*inside)
    return set() if first == second else {prefix[1:]}


@functools.cache
def actor_of(name):
    """The actor's configuration as a loss sees it, without the language-model term, which is the trainer's."""
    from verl.utils.config import omega_conf_to_dataclass

    config = OmegaConf.create(configuration(f"loss={name}"))
    config.actor_rollout_ref.actor.policy_loss.positive_lm_coef = 0.0
    return omega_conf_to_dataclass(config.actor_rollout_ref.actor)


def per_token(actor):
    """(value, gradient) of the loss by (ratio, advantage). The log-probability
    itself is -1 throughout."""
    from verl.trainer.ppo.core_algos import get_policy_loss_fn

    found = {}
    for ratio in RATIOS:
        for advantage in ADVANTAGES:
            log_prob = torch.full((1, 1), -1.0, dtype=torch.float64, requires_grad=True)
            loss, _ = get_policy_loss_fn(actor.policy_loss.loss_mode)(
                old_log_prob=log_prob.detach() - math.log(ratio),
                log_prob=log_prob,
                advantages=torch.full((1, 1), advantage, dtype=torch.float64),
                response_mask=torch.ones(1, 1, dtype=torch.bool),
                loss_agg_mode=actor.loss_agg_mode,
                config=actor,
            )
            (gradient,) = torch.autograd.grad(loss, log_prob)
            found[ratio, advantage] = (loss.item(), gradient.item())
    return found


def test_the_group_has_these_losses():
    assert sorted(path.stem for path in (recipes_root() / "loss").glob("*.yaml")) == sorted(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_each_sets_the_loss_its_clip_range_and_dual_clip_and_nothing_else(name):
    config = configuration(f"loss={name}")
    assert values(config) == LOSSES[name]
    assert differences(configuration(), config) <= {f"{ACTOR}.{key}" for key in KEYS}


@pytest.mark.parametrize("recipe", ["quickstart/math_rl", "code_rl_1gpu"])
def test_gppo_is_the_default(recipe):
    assert configuration(recipe=recipe) == configuration("loss=gppo", recipe=recipe)


def test_the_loss_can_be_chosen_for_a_recipe_of_a_size():
    assert values(configuration("loss=grpo", recipe="code_rl_1gpu")) == LOSSES["grpo"]


def test_a_key_on_the_command_line_wins_over_the_group():
    changed = configuration("loss=clip_higher", f"{ACTOR}.clip_ratio_c=10")
    assert values(changed) == ("vanilla", 0.2, 0.28, 10)


def test_what_a_recipe_of_ones_own_sets_wins_over_the_group(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "# @package _global_\ndefaults: [rl, _self_]\nactor_rollout_ref: {actor: {clip_ratio_high: 0.4}}\n"
    )
    assert values(configuration("loss=clip_higher", recipe=str(recipe))) == ("vanilla", 0.2, 0.4, 1e9)


def test_clip_higher_has_gppos_values_and_differs_in_the_gradient_of_clipped_tokens_alone():
    gppo, clip_higher = per_token(actor_of("gppo")), per_token(actor_of("clip_higher"))
    for (ratio, advantage), (value, gradient) in clip_higher.items():
        clipped = (ratio < 0.8 and advantage < 0) or (ratio > 1.28 and advantage > 0)
        assert value == pytest.approx(gppo[ratio, advantage][0], rel=1e-12)
        assert gradient == pytest.approx(0.0 if clipped else gppo[ratio, advantage][1], rel=1e-12)


def test_grpo_is_ppos_minimum_with_one_clip_range_and_no_dual_clip():
    for (ratio, advantage), (value, gradient) in per_token(actor_of("grpo")).items():
        clipped = (ratio < 0.8 and advantage < 0) or (ratio > 1.2 and advantage > 0)
        bounded = min(max(ratio, 0.8), 1.2) if clipped else ratio
        assert value == pytest.approx(-bounded * advantage, rel=1e-12)
        assert gradient == pytest.approx(0.0 if clipped else -ratio * advantage, rel=1e-12)


def test_cispo_has_gppos_gradient_but_where_clipping_does_not_act_for_ppo():
    gppo, cispo = per_token(actor_of("gppo")), per_token(actor_of("cispo"))
    for (ratio, advantage), (_, gradient) in cispo.items():
        bounded = min(max(ratio, 0.8), 1.28)
        assert gradient == pytest.approx(-bounded * advantage, rel=1e-12)
        if 0.8 <= ratio <= 1.28:
            assert gradient == pytest.approx(gppo[ratio, advantage][1], rel=1e-12)


@pytest.mark.parametrize("name", ["clip_higher", "grpo"])
def test_the_dual_clip_bound_that_never_binds_is_accepted_and_lies_above_every_ratio(name):
    from klear_verl.algorithm.clip_regions import MAX_LOG_RATIO
    from klear_verl.algorithm.config import ClipRange

    bound = ClipRange.from_actor(actor_of(name), "zero_grad").c
    assert bound is not None and bound > math.exp(MAX_LOG_RATIO)
