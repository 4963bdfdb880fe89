# SPDX-License-Identifier: Apache-2.0
"""Properties of the reward configuration and of the shapes of the code reward."""

import math

import pytest
from omegaconf import OmegaConf

from klear_verl.errors import ConfigError, DataError
from klear_verl.reward.config import DATA_SOURCES, CodeReward, reward_config


@pytest.mark.parametrize(("shape", "reward"), [("soft", 0.25), ("centered", -0.5), ("hard", -1.0)])
def test_four_of_sixteen_tests_as_the_paper_and_the_released_code_have_it(shape, reward):
    assert CodeReward(shape=shape).of(4 / 16) == reward


@pytest.mark.parametrize("shape", ["soft", "centered", "hard"])
def test_all_tests_passed_is_one_in_every_shape(shape):
    assert CodeReward(shape=shape).of(1.0) == 1.0


@pytest.mark.parametrize("shape", ["soft", "centered", "hard"])
def test_default_order_is_malformed_at_most_wrong_less_than_correct(shape):
    config = reward_config({"code": {"shape": shape}})
    assert config.math.no_think_end <= config.math.wrong < config.math.correct
    assert config.math.no_think_start <= config.math.wrong
    assert config.code.malformed_value <= config.code.wrong < 1.0


@pytest.mark.parametrize("values", [{"math": {"no_think_end": -0.5}}, {"code": {"malformed": 0.1}}])
def test_malformed_above_wrong_is_refused_and_the_way_out_is_named(values):
    with pytest.raises(ConfigError, match="allow_inversion"):
        reward_config(values)


def test_released_values_are_accepted_when_inversion_is_allowed():
    config = reward_config({"math": {"no_think_end": -0.5, "no_think_start": -2.0}, "allow_inversion": True})
    assert config.math.no_think_end == -0.5


def test_wrong_not_below_correct_is_refused_even_then():
    with pytest.raises(ConfigError, match=r"math\.wrong"):
        reward_config({"math": {"wrong": 1.0}, "allow_inversion": True})


REWARDS = ["math.correct", "math.wrong", "math.no_think_end", "math.no_think_start", "code.malformed"]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("key", REWARDS)
def test_a_reward_that_is_no_finite_number_is_refused_by_name(key, value):
    part, name = key.split(".")
    # Inversions are allowed, so that no other rule can refuse it.
    with pytest.raises(ConfigError, match=rf"klear\.{part}\.{name}: Input should be a finite number"):
        reward_config({part: {name: value}, "allow_inversion": True})


@pytest.mark.parametrize("value", [-1e7, 1e7])
@pytest.mark.parametrize("key", REWARDS)
def test_a_reward_too_large_for_float32_statistics_is_refused_by_name(key, value):
    part, name = key.split(".")
    with pytest.raises(ConfigError, match=rf"klear\.{part}\.{name}: Input should be (greater|less) than or equal to"):
        reward_config({part: {name: value}, "allow_inversion": True})


@pytest.mark.parametrize("limit", ["cpu_s", "wall_s"])
def test_a_limit_of_grading_that_is_no_finite_number_is_refused(limit):
    with pytest.raises(ConfigError, match=rf"klear\.math\.{limit}: Input should be a finite number"):
        reward_config({"math": {limit: math.inf}})


def test_yaml_infinity_from_a_recipe_is_refused():
    recipe = OmegaConf.create("{math: {correct: .inf}}")
    with pytest.raises(ConfigError, match=r"math\.correct: Input should be a finite number \(got inf\)"):
        reward_config(OmegaConf.to_container(recipe))


def test_unknown_key_is_named_in_full_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"reward\.reward_kwargs\.klear\.math\.corect: unknown key; did you mean 'correct'"
    ):
        reward_config({"math": {"corect": 1}})


def test_klear_data_sources_have_their_tasks():
    assert DATA_SOURCES["math_longcot_math_verify"] == "math"
    assert DATA_SOURCES["coder1_longcot"] == "code"


def test_unknown_data_source_names_itself_the_nearest_and_the_key():
    with pytest.raises(DataError, match=r"'coder1_longcott'.*did you mean 'coder1_longcot'") as caught:
        reward_config(None).task_of("coder1_longcott")
    assert "reward.reward_kwargs.klear.data_sources" in caught.value.remedy


def test_configured_data_source_extends_the_table():
    assert reward_config({"data_sources": {"mine": "code"}}).task_of("mine") == "code"
