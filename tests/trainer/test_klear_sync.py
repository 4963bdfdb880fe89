# SPDX-License-Identifier: Apache-2.0
"""The trainer `klear_sync` without a cluster: its registration, its mode, its limits on lost rollouts."""

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from klear_verl.errors import ConfigError
from klear_verl.reward.extra_info import JUDGE_KEYS
from klear_verl.trainer.config import KlearConfig
from klear_verl.trainer.klear_sync import KlearSyncTrainer, LostRollouts


@pytest.fixture
def trainer():
    """A trainer that has read its configuration and started nothing: 4 prompts of 8 responses a step."""
    made = KlearSyncTrainer.__new__(KlearSyncTrainer)
    rollout = {"rollout": {"n": 8}}
    made.config = OmegaConf.create({"data": {"train_batch_size": 4}, "actor_rollout_ref": rollout})
    made.klear = KlearConfig()
    made.global_steps = 7
    return made


@pytest.fixture
def balanced(monkeypatch):
    """The sizes of the batches that reach verl's own balancing, which pads them up."""
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    seen = []
    monkeypatch.setattr(
        PPOTrainerSync, "_balance_batch", lambda self, batch, metrics, **_: seen.append(len(batch.keys)) or batch
    )
    return seen


def batch_of(size):
    return SimpleNamespace(keys=[str(n) for n in range(size)])


def test_verls_registry_knows_the_trainer_by_name():
    from verl.trainer.ppo.v1 import get_trainer_cls

    assert get_trainer_cls("klear_sync") is KlearSyncTrainer


def test_the_mode_stays_synchronous_whatever_name_verl_assigns(trainer):
    trainer.trainer_mode = "klear_sync"
    assert trainer.trainer_mode == "sync"


def test_a_full_batch_goes_on_and_reports_no_loss(trainer, balanced):
    metrics = {}
    trainer._balance_batch(batch_of(32), metrics)
    assert (balanced, metrics["klear/lost_rollouts"]) == ([32], 0.0)


def test_a_batch_that_lost_a_response_stops_the_run_before_it_is_padded(trainer, balanced):
    with pytest.raises(LostRollouts) as caught:
        trainer._balance_batch(batch_of(31), {})
    assert "step 7: 1 of 32 responses were lost" in caught.value.what
    assert "klear.max_lost_rollouts" in caught.value.remedy
    assert balanced == []


def test_as_many_losses_as_allowed_go_on_and_are_counted(trainer, balanced):
    trainer.klear = KlearConfig(max_lost_rollouts=2)
    metrics = {}
    trainer._balance_batch(batch_of(30), metrics)
    assert (balanced, metrics["klear/lost_rollouts"]) == ([30], 2.0)
    with pytest.raises(LostRollouts):
        trainer._balance_batch(batch_of(29), {})


def test_the_judges_figures_stay_out_of_verls_validation_statistics(trainer):
    infos = {"reward": [1.0, 0.0], "acc": [1.0, 0.0], **{key: [0.5, 0.5] for key in JUDGE_KEYS}}
    metrics = trainer._val_metrics_update(["code", "code"], ["a", "a"], infos, [], expected_acc_counts=None)
    assert metrics["val-core/code/acc/mean@2"] == 0.5
    assert not [name for name in metrics for key in JUDGE_KEYS if key in name]


def test_a_mistyped_key_of_ours_is_refused_before_anything_starts():
    with pytest.raises(ConfigError, match=r"klear\.poll_intervall_s: unknown key; did you mean 'poll_interval_s'"):
        KlearSyncTrainer(OmegaConf.create({"klear": {"poll_intervall_s": 1}}))
