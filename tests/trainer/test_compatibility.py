# SPDX-License-Identifier: Apache-2.0
"""What `klear_sync` cannot do is refused at the start, by verl's own entry point too."""

import pytest
from omegaconf import OmegaConf

from klear_verl.errors import ConfigError
from klear_verl.trainer.compatibility import (
    check_klear_sync,
    check_refused,
    least_live,
    zero_std_groups_have_no_advantage,
)

ACTOR = "actor_rollout_ref.actor"


def cfg(**values):
    """A configuration of these values; `__` stands for a dot."""
    made = OmegaConf.create({"algorithm": {"adv_estimator": "grpo"}, "actor_rollout_ref": {"rollout": {"n": 8}}})
    for key, value in values.items():
        OmegaConf.update(made, key.replace("__", "."), value, force_add=True)
    return made


def refusal(config):
    with pytest.raises(ConfigError) as caught:
        check_klear_sync(config)
    return f"{caught.value.what}\n{caught.value.remedy}"


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("data.gen_batch_size", 256, "klear.groups.generate"),
        ("trainer.remove_previous_ckpt_in_save", True, "trainer.max_actor_ckpt_to_keep=1"),
        ("trainer.v1.sampler.sync_refill_failed_groups", True, "klear.groups.mode=refill"),
        ("trainer.v1.sync.parameter_sync_step", 2, "ppo_mini_batch_size"),
        ("skip.rollout_tq.enable", True, "false"),
    ],
)
def test_an_option_that_klear_sync_would_not_look_at_is_refused_with_what_to_use(key, value, remedy):
    said = refusal(cfg(**{key.replace(".", "__"): value}))
    assert f"{key}={value}" in said and remedy in said


def test_the_values_of_a_plain_configuration_pass():
    check_klear_sync(
        cfg(data__gen_batch_size=None, trainer__v1__sync__parameter_sync_step=1, skip__rollout_tq__enable=False)
    )


@pytest.mark.parametrize("estimator", ["gae", "reinforce_plus_plus"])
def test_an_estimator_that_compares_no_responses_may_not_lose_groups_whose_scores_are_equal(estimator):
    for mode in ("drop", "refill"):
        said = refusal(cfg(algorithm__adv_estimator=estimator, klear__groups__mode=mode))
        assert f"klear.groups.mode={mode}" in said and "set klear.groups.mode=keep" in said
    assert "klear.groups.mode=keep" in refusal(cfg(algorithm__adv_estimator=estimator))  # drop is the default
    one_each = cfg(algorithm__adv_estimator=estimator, klear__groups__mode="keep", actor_rollout_ref__rollout__n=1)
    check_klear_sync(one_each)
    assert least_live(one_each) == 1


@pytest.mark.parametrize("estimator", ["grpo", "rloo", "reinforce_plus_plus_baseline", "my_own"])
def test_one_response_to_a_prompt_is_refused_where_responses_are_compared(estimator):
    config = cfg(algorithm__adv_estimator=estimator, actor_rollout_ref__rollout__n=1)
    assert "actor_rollout_ref.rollout.n=1" in refusal(config)
    assert least_live(config) == 2


def test_remax_which_has_no_baseline_in_verls_v1_trainers_is_refused():
    assert "greedy response" in refusal(cfg(algorithm__adv_estimator="remax"))


def test_equal_rewards_mean_no_advantage_only_where_nothing_else_tells_responses_apart():
    assert zero_std_groups_have_no_advantage(cfg())
    assert not zero_std_groups_have_no_advantage(cfg(algorithm__use_kl_in_reward=True))
    assert not zero_std_groups_have_no_advantage(cfg(algorithm__adv_estimator="gae"))


def test_a_length_norm_of_the_micro_batch_at_hand_is_refused_for_the_actor_and_for_a_critic_that_is_there():
    norm = {"loss_agg_mode": "seq-mean-token-sum-norm"}
    assert f"{ACTOR}.loss_scale_factor to data.max_response_length" in refusal(cfg(actor_rollout_ref__actor=norm))
    check_klear_sync(cfg(actor_rollout_ref__actor={**norm, "loss_scale_factor": 1024}))
    check_klear_sync(cfg(critic=norm))
    assert "critic.loss_scale_factor" in refusal(cfg(critic={**norm, "enable": True}))


def test_rollout_correction_that_verl_would_leave_out_is_refused():
    wanted = {"rollout_rs": "token_k1", "rollout_rs_threshold": 2.0}
    log_probs = {"actor_rollout_ref__rollout__calculate_log_probs": True}
    check_klear_sync(cfg(algorithm__rollout_correction=wanted, **log_probs))
    assert "calculate_log_probs=false" in refusal(cfg(algorithm__rollout_correction=wanted))
    assert "bypass_mode=true" in refusal(
        cfg(algorithm__rollout_correction={**wanted, "bypass_mode": True}, **log_probs)
    )


def test_a_kl_coefficient_that_no_checkpoint_holds_is_refused_where_it_matters():
    adaptive = {"algorithm__kl_ctrl__type": "adaptive"}
    check_klear_sync(cfg(**adaptive))
    assert "algorithm.kl_ctrl.type=adaptive" in refusal(cfg(algorithm__use_kl_in_reward=True, **adaptive))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"trainer__max_actor_ckpt_to_keep": 2, "trainer__max_critic_ckpt_to_keep": 1}, "max_critic_ckpt_to_keep=1"),
        ({"critic__shuffle": True}, "critic.shuffle=true"),
    ],
)
def test_a_critic_shares_mini_batches_and_checkpoints_with_the_actor(values, said):
    check_klear_sync(cfg(**values))
    assert said in refusal(cfg(critic__enable=True, **values))


def test_a_critic_follows_the_actors_number_of_checkpoints_where_none_of_its_own_is_given():
    check_klear_sync(cfg(critic__enable=True, trainer__max_actor_ckpt_to_keep=2, trainer__max_critic_ckpt_to_keep=None))


@pytest.mark.parametrize("mode", ["klear_sync", "sync"])
def test_validation_alone_is_refused_where_verl_would_train_instead(mode):
    alone = {"trainer__v1__trainer_mode": mode, "trainer__val_only": True}
    check_refused(cfg(**alone, trainer__val_before_train=True))
    with pytest.raises(ConfigError, match=r"trainer\.val_before_train=false"):
        check_refused(cfg(**alone, trainer__val_before_train=False))


@pytest.mark.parametrize(
    "key",
    [
        "algorithm.filter_groups.enable",
        "actor_rollout_ref.actor.shuffle",
        "actor_rollout_ref.actor.checkpoint.async_save",
        "distillation.enabled",
    ],
)
def test_what_would_undo_klear_sync_is_refused_for_it_alone(key):
    for trainer in ("klear_sync", "sync"):
        config = cfg(trainer__v1__trainer_mode=trainer)
        OmegaConf.update(config, key, False, force_add=True)
        check_refused(config)
        OmegaConf.update(config, key, True)
        if trainer == "sync":
            check_refused(config)
            continue
        with pytest.raises(ConfigError, match=f"{key}=True cannot be used") as caught:
            check_refused(config)
        assert caught.value.remedy
