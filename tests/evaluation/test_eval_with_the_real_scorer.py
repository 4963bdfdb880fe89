# SPDX-License-Identifier: Apache-2.0
"""Right and wrong answers reach the real graders, for math and for code, and come out as figures."""

import json

import pytest

from klear_verl.evaluation.benchmark import Generation
from klear_verl.evaluation.preflight import plan
from klear_verl.evaluation.runner import evaluate
from klear_verl.reward.config import RewardConfig
from klear_verl.reward.scorer import Scorer

DOUBLES_SMALL_NUMBERS = "n = int(input())\nprint(2 * n if n < 4 else 0)"


class ScriptedEngine:
    """Sample 0 of every problem is the given response; sample 1 has no think tags."""

    def __init__(self, answers):
        self.answers = answers

    def load(self, checkpoint):
        return "engine started"

    def generate(self, requests):
        for request in requests:
            problem, sample = request.key
            yield Generation(request.key, self.answers[problem] if sample == 0 else "no idea", "stop", 3)

    def close(self):
        pass


def test_math_and_code_are_graded_as_in_training(config, write_jsonl, row):
    tests = {"inputs": [str(n) for n in range(1, 17)], "outputs": [str(2 * n) for n in range(1, 17)]}
    rows = [
        row("1 + 1 ?", "2"),
        row("1 + 2 ?", "3"),
        row("double", data_source="coder1_longcot", reward_model={"ground_truth": json.dumps(tests)}),
    ]
    answers = [
        "<think>easy</think>\\boxed{2}",
        "<think>easy</think>\\boxed{4}",
        f"<think>easy</think>\n```python\n{DOUBLES_SMALL_NUMBERS}\n```",
    ]
    path = write_jsonl(rows, "mixed.jsonl")
    settings = config(benchmarks=[{"name": "mixed", "data": str(path), "n": 2}])
    with Scorer(RewardConfig()) as scorer:
        figures = evaluate(settings, plan(settings), ScriptedEngine(answers), scorer)["a"]["mixed"]
    assert figures["avg_at_n"] == pytest.approx((0.5 + 0 + 0) / 3)
    assert figures["pass_at_k"]["2"] == pytest.approx(1 / 3)
    assert figures["pass_rate"] == pytest.approx((3 / 16 + 0) / 2)
    assert (figures["malformed"], figures["ungraded"]) == (3, 0)
