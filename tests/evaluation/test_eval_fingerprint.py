# SPDX-License-Identifier: Apache-2.0
"""A changed configuration is found and named; what cannot change a result does not count."""

import pytest

from klear_verl.errors import ConfigError, DataError
from klear_verl.evaluation.preflight import check_fingerprint, plan


def plan_twice(config, first, second):
    plan(config(**first))
    plan(config(**second))


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"sampling": {"max_tokens": 16, "temperature": 1.0}}, r"sampling\.temperature: 0\.6 -> 1\.0"),
        ({"seed": 3}, "seed: 0 -> 3"),
        ({"engine": {"max_model_len": 100, "dtype": "float32"}}, r"engine\.max_model_len: 128 -> 100"),
        (
            {"chat_template_kwargs": {"enable_thinking": True}},
            r"chat_template_kwargs\.enable_thinking: \(absent\) -> true",
        ),
        ({"reward": {"think": "off"}}, r'reward\.think: "required" -> "off"'),
    ],
)
def test_a_changed_key_is_named_with_both_values(config, changes, difference):
    with pytest.raises(ConfigError, match=difference):
        plan_twice(config, {}, changes)


def test_changed_grading_alone_keeps_the_responses(config):
    with pytest.raises(ConfigError, match=r"delete grading\.json and scores\.jsonl .*grade the same responses"):
        plan_twice(config, {}, {"reward": {"think": "off"}})


def test_a_retrained_checkpoint_is_found(config, make_checkpoint):
    retrained = {"a": str(make_checkpoint("retrained", weight=5.0))}
    with pytest.raises(ConfigError, match=r"model: .* -> "):
        plan_twice(config, {}, {"models": retrained})


def test_changed_data_is_found(config, write_jsonl, row):
    path = write_jsonl([row("9 + 9 ?", "18")], "other.jsonl")
    with pytest.raises(ConfigError, match=r"data: .* -> "):
        plan_twice(config, {}, {"benchmarks": [{"name": "sums", "data": str(path), "n": 2}]})


def test_speed_and_memory_keys_do_not_count(config):
    engine = {"max_model_len": 128, "dtype": "float32", "max_num_seqs": 7, "gpu_memory_utilization": 0.5}
    reward = {"math": {"workers": 3}, "judge": {"slots": 3}}
    plan_twice(config, {}, {"engine": engine, "reward": reward, "jobs": 2})


def test_a_damaged_fingerprint_is_named(tmp_path):
    (tmp_path / "generation.json").write_text("{")
    with pytest.raises(DataError, match=r"generation\.json: not JSON"):
        check_fingerprint(tmp_path / "generation.json", {}, "")
