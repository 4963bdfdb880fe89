# SPDX-License-Identifier: Apache-2.0
"""On a CUDA device, in the precisions that it trains in, the gradient is the float64 reference's within that precision.

The same cases run in float32 and bfloat16 on the CPU as well (`test_gradient_of_a_mini_batch`).
"""

import pytest
import torch

from tests.trainer.gradients import gradient_cases as cases
from tests.trainer.gradients.gradient_runs import relative_distance

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; none is visible to PyTorch"),
]
LIMITS = {"float32": 1e-4, "bfloat16": 0.05}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases.on_a_gpu()])
def test_gradient_on_cuda_is_the_references_within_its_precision(gpu_runs, case):
    gradient = gpu_runs[case].tensors[0]
    assert relative_distance(gradient, gpu_runs.reference(case)[0].gradient) < LIMITS[case.engine.dtype]
