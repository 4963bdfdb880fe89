# SPDX-License-Identifier: Apache-2.0
"""Lets the tests of this folder import the helpers next to them, and gives each file a queue."""

import pytest

from tests.trainer.step.in_process_queue import transfer_queue
from tests.trainer.step.one_step import run_step


@pytest.fixture(scope="module")
def queue():
    """verl's TransferQueue; every step begins with an empty one."""
    with transfer_queue():
        yield


@pytest.fixture
def step(queue, tmp_path):
    """`run_step`, whose files go to `tmp_path`."""
    return lambda *groups, **options: run_step(tmp_path, *groups, **options)
