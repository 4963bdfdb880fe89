# SPDX-License-Identifier: Apache-2.0
"""Without Ray, or without a cluster, programs are scored all the same, or the way out is named."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("ray")

WITHOUT_RAY = """
import sys
sys.modules["ray"] = None  # any import of it raises
from klear_verl.reward.config import reward_config
from klear_verl.reward.score import ScoreRequest
from klear_verl.reward.scorer import Scorer
answer = "<think></think>```python\\nprint(input())\\n```"
with Scorer(reward_config(None)) as scorer:
    print(scorer.score(ScoreRequest("c", "coder1_longcot", answer, {"inputs": ["1"], "outputs": ["1"]})).acc)
"""

WITHOUT_CLUSTER = """
import functools
from ray._private import services
services.find_gcs_addresses = functools.cache(set)  # a cluster of somebody else may run beside the tests
from klear_verl.errors import EnvironmentProblem
from klear_verl.reward.scorer import CodeScorer
from klear_verl.reward.config import reward_config
try:
    CodeScorer(reward_config({"judge_pool": {"mode": "ray"}}))
except EnvironmentProblem as problem:
    print(problem)
"""


def output(script):
    """What a fresh interpreter prints."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=250, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_scoring_programs_needs_no_ray():
    assert output(WITHOUT_RAY) == "True"


def test_asking_for_a_cluster_where_there_is_none_names_the_way_out():
    text = output(WITHOUT_CLUSTER)
    assert "there is no Ray cluster to join" in text
    assert "judge_pool.mode=local" in text
