# SPDX-License-Identifier: Apache-2.0
"""The loss on a CUDA device agrees with the CPU."""

import pytest
import torch

from klear_verl.algorithm import compute_policy_loss_gppo
from tests.algorithm.gppo_reference import actor_config, random_batch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; none is visible to PyTorch"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loss_gradient_and_metrics_on_cuda_equal_those_on_the_cpu(dtype):
    results = []
    for device in ("cpu", "cuda"):
        batch = {name: tensor.detach().to(device) for name, tensor in random_batch(dtype=dtype).items()}
        batch["log_prob"].requires_grad_()
        loss, metrics = compute_policy_loss_gppo(**batch, loss_agg_mode="token-mean", config=actor_config())
        loss.backward()
        results.append((loss.detach().cpu(), batch["log_prob"].grad.cpu(), metrics))
    torch.testing.assert_close(results[0][:2], results[1][:2])
    assert results[0][2] == pytest.approx(results[1][2], rel=1e-4)


def test_peak_memory_on_cuda_is_at_most_that_of_verls_vanilla():
    from verl.trainer.ppo.core_algos import get_policy_loss_fn

    peaks = []
    for name in ("vanilla", "gppo"):
        batch = {key: value.detach().cuda() for key, value in random_batch(64, 2048, dtype=torch.float32).items()}
        batch["log_prob"].requires_grad_()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        get_policy_loss_fn(name)(**batch, loss_agg_mode="token-mean", config=actor_config())[0].backward()
        peaks.append(torch.cuda.max_memory_allocated() - held)
    assert peaks[1] <= peaks[0]
