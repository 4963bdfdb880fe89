# SPDX-License-Identifier: Apache-2.0
"""Runs verl's workers once for all tests of this folder."""

import pickle
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from tests.trainer.gradients.gradient_cases import on_a_gpu, on_the_cpu, sample
from tests.trainer.gradients.gradient_runs import Runs


def pytest_collection_modifyitems(items):
    """The first test of this folder waits for the workers, which may take as long as they get on."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The reference's matrices are tiny: on a busy machine, threads that wait for each other cost more than they do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def runs(tmp_path_factory, request):
    """The gradients and metrics on the CPU: of every case where any chosen test is `thorough`, else of the sample.
    Processes of pytest-xdist share one run."""
    folder = tmp_path_factory.mktemp("gradients")
    own = [item for item in request.session.items if Path(__file__).parent in item.path.parents]
    cases = on_the_cpu() if any(item.get_closest_marker("thorough") for item in own) else sample()
    if not hasattr(request.config, "workerinput"):
        return Runs(folder, cases)
    shared = folder.parent.parent / "gradients.pickle"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            shared.write_bytes(pickle.dumps(Runs(folder, cases)))
        return pickle.loads(shared.read_bytes())


@pytest.fixture(scope="session")
def gpu_runs(tmp_path_factory):
    """The gradients and metrics of every case on a GPU."""
    return Runs(tmp_path_factory.mktemp("gpu-gradients"), on_a_gpu())
