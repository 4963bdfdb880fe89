# SPDX-License-Identifier: Apache-2.0
"""The trainer `klear_sync` without a cluster: its registration, its mode, its limits on lost rollouts."""

import pytest
from omegaconf import OmegaConf
from verl.trainer.ppo.metric_utils import process_validation_metrics
from verl.trainer.ppo.v1.trainer_base import PPOTrainer

from klear_verl.errors import ConfigError
from klear_verl.reward.score import JUDGE_KEYS
from klear_verl.trainer.buffer import GroupBuffer
from klear_verl.trainer.compatibility import check_klear_sync, check_refused
from klear_verl.trainer.config import KlearConfig
from klear_verl.trainer.klear_sync import KlearSyncTrainer, LostRollouts
from tests.trainer.rollout_samples import group


@pytest.fixture
def trainer():
    """A trainer that has read its configuration and started nothing: 4 prompts of 2 responses a step."""
    made = KlearSyncTrainer.__new__(KlearSyncTrainer)
    actor = {"ppo_mini_batch_size": 2}
    made.config = OmegaConf.create(
        {"data": {"train_batch_size": 4}, "actor_rollout_ref": {"rollout": {"n": 2}, "actor": actor}}
    )
    made.klear = KlearConfig()
    made.global_steps = 7
    made.replay_buffer = GroupBuffer.__new__(GroupBuffer)
    made.replay_buffer.configure(
        made.klear.groups, made.klear.overlong, batch_size=4, max_response_length=64, check_alive=lambda: None
    )
    made.replay_buffer.submitted([f"prompt{n}" for n in range(4)])
    return made


def arrive(trainer, *groups):
    trainer.replay_buffer._groups = {arrived.uid: arrived for arrived in groups}


def test_verls_registry_knows_the_trainer_by_name():
    from verl.trainer.ppo.v1 import get_trainer_cls

    assert get_trainer_cls("klear_sync") is KlearSyncTrainer


def test_verl_takes_the_trainer_for_a_synchronous_one(monkeypatch):
    def assign_the_name(self, config):
        self.config, self.trainer_mode = config, config.trainer.v1.trainer_mode

    monkeypatch.setattr(PPOTrainer, "__init__", assign_the_name)
    sampler = {"max_off_policy_threshold": 1, "max_off_policy_strategy": "drop", "sampler_kwargs": {}}
    config = OmegaConf.create(
        {
            "trainer": {"v1": {"trainer_mode": "klear_sync", "sampler": sampler}},
            "data": {"train_batch_size": 4},
            "actor_rollout_ref": {
                "rollout": {"n": 2, "response_length": 64},
                "actor": {"policy_loss": {"loss_mode": "vanilla"}},
            },
        }
    )
    made = KlearSyncTrainer(config)
    assert made.trainer_mode == "sync"
    assert isinstance(made.replay_buffer, GroupBuffer)


def test_a_full_batch_goes_on_and_reports_no_loss(trainer):
    arrive(trainer, *(group(1.0, -1.0, position=n) for n in range(4)))
    metrics = {}
    trainer._refuse_lost_rollouts(metrics)
    assert metrics["klear/lost_rollouts"] == 0.0


def test_a_batch_that_lost_a_response_stops_the_run(trainer):
    arrive(trainer, *(group(1.0, -1.0, position=n) for n in range(3)), group(1.0, position=3))
    with pytest.raises(LostRollouts) as caught:
        trainer._refuse_lost_rollouts({})
    assert "step 7: 1 of 8 responses were lost" in caught.value.what
    assert "klear.max_lost_rollouts" in caught.value.remedy


def test_as_many_losses_as_allowed_go_on_and_are_counted(trainer):
    trainer.klear = KlearConfig(max_lost_rollouts=2)
    arrive(trainer, *(group(1.0, -1.0, position=n) for n in range(3)))
    metrics = {}
    trainer._refuse_lost_rollouts(metrics)
    assert metrics["klear/lost_rollouts"] == 2.0
    arrive(trainer, *(group(1.0, -1.0, position=n) for n in range(2)))
    with pytest.raises(LostRollouts):
        trainer._refuse_lost_rollouts({})


def test_a_step_whose_every_response_was_lost_stops_whatever_is_allowed(trainer):
    trainer.klear = KlearConfig(max_lost_rollouts=100)
    with pytest.raises(LostRollouts):
        trainer._refuse_lost_rollouts({})


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("algorithm.filter_groups.enable", True, "klear.groups.mode=refill"),
        ("actor_rollout_ref.actor.shuffle", True, "data.shuffle"),
        ("trainer.v1.sampler.custom_sampler.path", "mine.py", "null"),
        ("actor_rollout_ref.actor.checkpoint.async_save", True, "false"),
    ],
)
def test_options_of_verl_that_would_undo_ours_are_refused_with_the_remedy(key, value, word):
    config = OmegaConf.create({})
    OmegaConf.update(config, key, value)
    with pytest.raises(ConfigError) as caught:
        check_klear_sync(config)
    assert key.rsplit(".", 1)[0] in caught.value.what
    assert word in caught.value.remedy


def test_the_judges_figures_stay_out_of_verls_validation_statistics(trainer):
    infos = {"reward": [1.0, 0.0], "acc": [1.0, 0.0], **{key: [0.5, 0.5] for key in JUDGE_KEYS}}
    metrics = trainer._val_metrics_update(["code", "code"], ["a", "a"], infos, [], expected_acc_counts=None)
    assert metrics["val-core/code/acc/mean@2"] == 0.5
    assert not [name for name in metrics for key in JUDGE_KEYS if key in name]


def test_validation_has_verls_statistics_for_acc_and_means_under_verls_names_for_the_rest(trainer):
    sources, uids = ["math"] * 4 + ["code"], ["a", "a", "b", "b", "c"]
    infos = {"acc": [1.0, 0.0, 1.0, 1.0, 0.0], "reward": [1.0, -1.0, 1.0, 0.0, None], "note": ["x"] * 5}
    theirs = process_validation_metrics(sources[:4], uids[:4], {key: values[:4] for key, values in infos.items()})
    metrics = trainer._val_metrics_update(sources, uids, infos, [], expected_acc_counts=None)
    assert metrics["val-core/math/acc/best@2/mean"] == theirs["math"]["acc"]["best@2/mean"]
    assert metrics["val-aux/math/reward/mean@2"] == theirs["math"]["reward"]["mean@2"] == 0.25
    assert [name for name in metrics if "reward" in name or "note" in name] == ["val-aux/math/reward/mean@2"]


@pytest.mark.parametrize(("estimator", "enable"), [("gae", None), ("grpo", True)])
def test_a_critic_that_would_cut_the_batch_otherwise_is_refused(estimator, enable):
    config = OmegaConf.create(
        {
            "algorithm": {"adv_estimator": estimator},
            "critic": {"ppo_mini_batch_size": 4, "enable": enable},
            "actor_rollout_ref": {"actor": {"ppo_mini_batch_size": 2}},
            "klear": {"groups": {"mode": "keep"}},
        }
    )
    with pytest.raises(ConfigError, match=r"critic\.ppo_mini_batch_size=4 differs"):
        check_klear_sync(config)


@pytest.mark.parametrize("loss", ["gppo", "vanilla"])
def test_the_loss_on_correct_rollouts_is_refused_where_no_trainer_adds_it(loss):
    policy_loss = {"loss_mode": loss, "positive_lm_coef": 0.1}
    config = OmegaConf.create({"actor_rollout_ref": {"actor": {"policy_loss": policy_loss}}})
    OmegaConf.update(config, "trainer.v1.trainer_mode", "sync", force_add=True)
    with pytest.raises(ConfigError, match=r"positive_lm_coef=0\.1"):
        check_refused(config)
    policy_loss["positive_lm_coef"] = 0.0
    check_refused(OmegaConf.create({"actor_rollout_ref": {"actor": {"policy_loss": policy_loss}}}))


def test_a_mistyped_key_of_ours_is_refused_before_anything_starts():
    with pytest.raises(ConfigError, match=r"klear\.poll_intervall_s: unknown key; did you mean 'poll_interval_s'"):
        KlearSyncTrainer(OmegaConf.create({"klear": {"poll_intervall_s": 1}}))
