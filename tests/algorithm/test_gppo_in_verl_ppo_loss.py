# SPDX-License-Identifier: Apache-2.0
"""The loss as verl's workers reach it: through `ppo_loss`, by its registered name, with global batch sizes."""

import pytest
import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu
from verl.workers.utils.losses import ppo_loss

import klear_verl.algorithm.gppo  # noqa: F401  (registers the loss)
from tests.algorithm.gppo_reference import actor_config, equation_11


def test_verls_ppo_loss_runs_gppo_over_the_global_batch():
    torch.manual_seed(0)
    prompt, length = 3, 5
    log_probs = torch.randn(2, prompt + length, dtype=torch.float64).requires_grad_()
    # verl's model output is flat, and predicts token t+1 at position t.
    response_log_prob = log_probs[:, prompt - 1 : -1]
    old_log_prob, advantages = (
        response_log_prob.detach() + torch.randn(2, length).double(),
        torch.randn(2, length).double(),
    )
    data = TensorDict(
        {
            "prompts": torch.ones(2, prompt, dtype=torch.int64),
            "responses": torch.ones(2, length, dtype=torch.int64),
            "attention_mask": torch.ones(2, prompt + length, dtype=torch.int64),
            "response_mask": torch.ones(2, length, dtype=torch.int64),
            "old_log_probs": old_log_prob,
            "advantages": advantages,
        },
        batch_size=[2],
    )
    tu.assign_non_tensor(data, dp_size=1, batch_num_tokens=40, global_batch_size=8)
    loss, metrics = ppo_loss(actor_config(), {"log_probs": log_probs.flatten()}, data)
    expected = -equation_11(old_log_prob, response_log_prob, advantages).sum() / 40
    torch.testing.assert_close(loss, expected)
    assert metrics["actor/gppo/frac_inside"].aggregate() <= 1
    (ours,) = torch.autograd.grad(loss, log_probs, retain_graph=True)
    (theirs,) = torch.autograd.grad(expected, log_probs)
    torch.testing.assert_close(ours, theirs)
    assert metrics["actor/pg_loss"].aggregate() == pytest.approx(expected.item())
