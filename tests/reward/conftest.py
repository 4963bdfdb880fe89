# SPDX-License-Identifier: Apache-2.0
"""One scorer for the whole room's tests: its graders and its judge start once."""

import pytest

from klear_verl.reward.config import reward_config
from klear_verl.reward.score import ScoreRequest
from klear_verl.reward.scorer import Scorer


@pytest.fixture(scope="session")
def scorer():
    with Scorer(reward_config({"math": {"cpu_s": 0.5}})) as scorer:
        yield scorer


@pytest.fixture
def math_request():
    def build(response, ground_truth="4"):
        return ScoreRequest("m", "math_longcot_math_verify", response, ground_truth)

    return build


@pytest.fixture
def code_request():
    """A program that must double its input, on four tests."""

    def build(response, ground_truth=None):
        truth = ground_truth or {"inputs": ["1\n", "2\n", "3\n", "-4\n"], "outputs": ["2\n", "4\n", "6\n", "-8\n"]}
        return ScoreRequest("c", "coder1_longcot", response, truth)

    return build
