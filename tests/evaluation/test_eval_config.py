# SPDX-License-Identifier: Apache-2.0
"""The recipe's schema: the paper's defaults, and each mistake named by its key."""

import pytest

from klear_verl.errors import ConfigError
from klear_verl.evaluation.config import EvalConfig, SamplingConfig
from klear_verl.utils.config import parse_config

VALID = {
    "out": "results",
    "models": {"base": "m"},
    "benchmarks": [{"name": "sums", "data": "sums.jsonl"}],
    "sampling": {"max_tokens": 64},
    "engine": {"max_model_len": 128},
}


def test_sampling_defaults_are_the_papers():
    sampling = SamplingConfig(max_tokens=1)
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.repetition_penalty) == (0.6, 0.95, -1, 1.0)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"modles": {}}, "modles: unknown key; did you mean 'models'"),
        ({"sampling": {"max_tokens": 64, "temprature": 1}}, r"sampling\.temprature: unknown key"),
        ({"sampling": {}}, r"sampling\.max_tokens: Field required"),
        ({"sampling": {"max_tokens": 64, "top_k": 0}}, r"sampling\.top_k: .*at least 1, or -1"),
        ({"sampling": {"max_tokens": 128}}, r"sampling\.max_tokens \(128\) leaves no room"),
        ({"engine": {"max_model_len": "long"}}, r"engine\.max_model_len"),
        ({"models": {}}, "models"),
        ({"models": {"meta": "m"}}, "no model may be called 'meta'"),
        ({"models": {"../up": "m"}}, r"models\.\.\./up"),
        ({"benchmarks": []}, "benchmarks"),
        ({"benchmarks": VALID["benchmarks"] * 2}, "two benchmarks are called sums"),
        ({"benchmarks": [{"name": "sums", "data": "x", "n": 0}]}, r"benchmarks\.0\.n"),
        ({"reward": {"think": "maybe"}}, r"reward\.think"),
    ],
)
def test_a_mistake_is_named_by_its_key(changes, complaint):
    with pytest.raises(ConfigError, match=complaint):
        parse_config(EvalConfig, {**VALID, **changes}, "")


def test_programs_are_judged_per_solution_unless_the_recipe_says_otherwise():
    default = EvalConfig.model_validate(VALID)
    asked = EvalConfig.model_validate({**VALID, "reward": {"judge": {"granularity": "test", "slots": 2}}})
    other_keys = EvalConfig.model_validate({**VALID, "reward": {"judge": {"slots": 2}}})
    granularities = [config.reward.judge.granularity for config in (default, asked, other_keys)]
    assert granularities == ["solution", "test", "solution"]
