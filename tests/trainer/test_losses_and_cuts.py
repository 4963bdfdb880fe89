# SPDX-License-Identifier: Apache-2.0
"""Which of verl's policy losses have one gradient however a mini-batch is cut: exactly those that are not refused."""

import pytest
import torch
from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY, get_policy_loss_fn
from verl.workers.config import FSDPActorConfig

from klear_verl.algorithm import GPPOLossConfig
from klear_verl.errors import ConfigError
from klear_verl.trainer.compatibility import check_klear_sync

ROWS, TOKENS = 8, 40
NOT_A_LOSS_OF_ITS_OWN = {"bypass_mode"}
"""Hands on to another loss, by the options of rollout correction."""


def gradient(mode: str, rows_of_a_cut: int) -> torch.Tensor:
    """Of one seeded mini-batch of uneven rows, each cut padded to its own longest row, as verl does."""
    torch.manual_seed(0)
    lengths = torch.tensor([40, 38, 33, 30, 12, 10, 7, 5])
    mask = torch.arange(TOKENS) < lengths[:, None]
    old = -torch.rand(ROWS, TOKENS, dtype=torch.float64) * 3
    leaf = (old + 0.3 * torch.randn(ROWS, TOKENS, dtype=torch.float64)).requires_grad_()
    advantages = torch.randn(ROWS, 1, dtype=torch.float64).expand(ROWS, TOKENS) * mask
    config = FSDPActorConfig(
        strategy="fsdp",
        rollout_n=4,
        use_dynamic_bsz=True,
        policy_loss=GPPOLossConfig(loss_mode=mode, dro_beta=0.1, kl_cov_ratio=0.05, clip_cov_lb=0.0),
    )
    config.global_batch_info.update(dp_size=1, batch_num_tokens=int(mask.sum()), global_batch_size=ROWS)
    for start in range(0, ROWS, rows_of_a_cut):
        rows = slice(start, start + rows_of_a_cut)
        width = int(lengths[rows].max())
        loss, _ = get_policy_loss_fn(mode)(
            old_log_prob=old[rows, :width],
            log_prob=leaf[rows, :width],
            advantages=advantages[rows, :width],
            response_mask=mask[rows, :width],
            loss_agg_mode="token-mean",
            config=config,
            rollout_is_weights=None,
        )
        loss.backward()
    assert leaf.grad is not None
    return leaf.grad


def refused(mode: str) -> bool:
    from omegaconf import OmegaConf

    config = OmegaConf.create({"actor_rollout_ref": {"actor": {"policy_loss": {"loss_mode": mode}}}})
    try:
        check_klear_sync(config)
    except ConfigError as error:
        assert "micro-batch" in error.what
        return True
    return False


@pytest.mark.parametrize("mode", sorted(set(POLICY_LOSS_REGISTRY) - NOT_A_LOSS_OF_ITS_OWN))
def test_a_loss_is_refused_if_and_only_if_its_gradient_depends_on_the_cut(mode):
    whole, cut = gradient(mode, ROWS), gradient(mode, 2)
    assert refused(mode) == (not torch.allclose(whole, cut, rtol=1e-9, atol=1e-12))
