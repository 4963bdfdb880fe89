# SPDX-License-Identifier: Apache-2.0
"""The loss function that the trainer hands to the workers, on the rows that it lays out for them."""

import pytest
import torch
from omegaconf import OmegaConf
from verl.utils import tensordict_utils as tu

from klear_verl.trainer import loss
from tests.trainer.step.answers import LOG_PROB, RIGHT, WRONG, nested
from tests.trainer.step.one_step import make_trainer, run_step

ALPHA = 0.25
GROUP = [RIGHT, WRONG, WRONG]


@pytest.fixture
def handed_over(queue, tmp_path):
    """What the workers are given at the start, for a loss mode and an α."""

    def make(mode="gppo", alpha=ALPHA):
        trainer = make_trainer(tmp_path, GROUP)
        given = []
        trainer.actor_rollout_wg.set_loss_fn = given.append
        trainer.checkpoint_manager.update_weights = lambda step: None
        trainer.config.actor_rollout_ref.actor = OmegaConf.create(_actor(mode, alpha))
        trainer.config.actor_rollout_ref.model = {"_target_": "types.SimpleNamespace", "tokenizer": None}
        trainer.on_init_end()
        (function,) = given
        return function

    return make


def _actor(mode, alpha):
    return {
        "_target_": "verl.workers.config.FSDPActorConfig",
        "strategy": "fsdp",
        "rollout_n": 3,
        "use_dynamic_bsz": True,
        "policy_loss": {
            "_target_": "klear_verl.algorithm.GPPOLossConfig",
            "loss_mode": mode,
            "positive_lm_coef": alpha,
        },
    }


def loss_of_step(function, step):
    """Of the one mini-batch of a step, over all ranks, of a model that has not moved: a loss as autograd sees it, and
    L_LM as verl would log it."""
    parts = [rank[0] for rank in step.workers.batches]
    tokens = sum(int(part["loss_mask"].values().sum()) for part in parts)
    losses, logged = [], []
    for part in parts:
        tu.assign_non_tensor(part, dp_size=len(parts), batch_num_tokens=tokens, global_batch_size=1)
        log_probs = [torch.full_like(row, LOG_PROB, dtype=torch.float32) for row in part["input_ids"].unbind()]
        loss, metrics = function(model_output={"log_probs": nested(log_probs)}, data=part)
        losses.append(float(loss))
        logged.append(metrics.get("actor/positive_lm_loss"))
    return sum(losses) / len(parts), [metric and float(metric.aggregate()) for metric in logged]


@pytest.mark.parametrize("mode", ["gppo", "vanilla"])
def test_the_loss_gets_the_alpha_of_the_configuration(handed_over, monkeypatch, mode):
    seen = []
    monkeypatch.setattr(loss, "klear_loss", lambda config, alpha, folder, **_: seen.append((config, alpha)))
    handed_over(mode)(model_output=None, data=None)
    ((config, alpha),) = seen
    assert (config.policy_loss.loss_mode, alpha) == (mode, ALPHA)


def test_samples_that_are_no_number_go_to_the_folder_of_the_run(handed_over, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(loss, "klear_loss", lambda config, alpha, folder, **_: seen.append(folder))
    handed_over()(model_output=None, data=None)
    assert seen == [str(tmp_path / "non_finite")]


@pytest.mark.parametrize("ranks", [(0,), (0, 1)])
def test_the_language_model_loss_is_the_mean_over_all_tokens_of_correct_responses(handed_over, tmp_path, ranks):
    done = run_step(tmp_path, [RIGHT.but(tokens=1), RIGHT.but(tokens=7), WRONG], GROUP, ranks=ranks, mini_batch_size=2)
    with_alpha, logged = loss_of_step(handed_over(), done)
    without, nothing = loss_of_step(handed_over(alpha=0.0), done)
    # Every log-probability is -1, so that the mean is 1.
    assert sum(logged) / len(ranks) == pytest.approx(1.0)
    assert set(nothing) == {None}
    assert with_alpha - without == pytest.approx(ALPHA)


def test_a_step_without_a_correct_response_has_no_language_model_loss(handed_over, tmp_path):
    done = run_step(tmp_path, [WRONG.but(score=0.5), WRONG, WRONG])
    assert loss_of_step(handed_over(), done)[1] == [0.0]
