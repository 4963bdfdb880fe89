# SPDX-License-Identifier: Apache-2.0
"""Strict models, the errors they raise, and the nearest valid name."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from klear_verl.errors import ConfigError, DataError, EnvironmentProblem, KlearError
from klear_verl.utils.config import (
    FrozenModel,
    StrictModel,
    closest,
    did_you_mean,
    dotted_keys,
    nearest_key,
    parse_config,
)


class Limits(StrictModel):
    cpu_s: float = 2.0
    memory_mib: int = 256


class Settings(StrictModel):
    workers: int = 1
    limits: Limits = Limits()


def complaint(values, where="reward.klear"):
    with pytest.raises(ConfigError) as caught:
        parse_config(Settings, values, where)
    return str(caught.value)


@pytest.mark.parametrize("nothing", [None, {}])
def test_nothing_given_means_all_defaults(nothing):
    assert parse_config(Settings, nothing, "x") == Settings()


def test_given_values_replace_defaults_only_where_given():
    assert parse_config(Settings, {"limits": {"cpu_s": 3}}, "x").limits == Limits(cpu_s=3.0, memory_mib=256)


def test_an_unknown_key_is_named_in_full_with_the_nearest_one():
    assert "reward.klear.workrs: unknown key; did you mean 'workers'?" in complaint({"workrs": 2})


def test_an_unknown_nested_key_is_compared_with_its_own_siblings():
    assert "reward.klear.limits.memory: unknown key; did you mean 'memory_mib'?" in complaint({"limits": {"memory": 1}})


def test_a_key_like_no_other_gets_the_list_of_known_ones():
    assert "known keys: workers, limits" in complaint({"zzz": 1})


def test_an_ill_typed_value_is_named_with_what_was_given():
    message = complaint({"limits": {"cpu_s": "soon"}})
    assert "reward.klear.limits.cpu_s" in message
    assert "'soon'" in message


def test_every_bad_key_is_reported_at_once():
    message = complaint({"workrs": 1, "limits": {"cpu_s": "soon"}})
    assert "workrs" in message and "cpu_s" in message


def test_the_message_ends_with_a_remedy():
    assert "remedy: fix the key" in complaint({"zzz": 1})


def test_without_a_prefix_the_key_stands_alone():
    assert complaint({"zzz": 1}, where="").startswith("zzz: ")


@given(st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text(max_size=4) | st.just({"cpu_s": {}})))
def test_any_mapping_parses_or_raises_a_config_error(values):
    try:
        assert isinstance(parse_config(Settings, values, "x"), Settings)
    except ConfigError as error:
        assert any(f"x.{key}" in str(error) for key in values)


def test_models_are_frozen():
    with pytest.raises(ValidationError):
        Settings().workers = 3


@pytest.mark.parametrize("kind", [KlearError, ConfigError, DataError, EnvironmentProblem])
def test_errors_survive_pickling_with_their_parts(kind):
    error = pickle.loads(pickle.dumps(kind("row 3 of a.jsonl", "fix it")))
    assert type(error) is kind
    assert (error.what, error.remedy) == ("row 3 of a.jsonl", "fix it")
    assert str(error) == "row 3 of a.jsonl\n  remedy: fix it"


def test_an_error_without_a_remedy_prints_only_what_is_wrong():
    assert str(KlearError("no such thing")) == "no such thing"


def test_a_model_for_foreign_files_ignores_keys_that_a_newer_version_wrote():
    class Read(FrozenModel):
        a: int

    assert Read.model_validate({"a": 1, "new": 2}) == Read(a=1)


def test_the_nearest_name_is_proposed_or_all_are_listed():
    assert did_you_mean("gpp", ["gppo", "vanilla"]) == "did you mean 'gppo'?"
    assert did_you_mean("zzz", ["gppo", "vanilla"]) == "known: gppo, vanilla"
    assert did_you_mean("zzz", []) == "known: (none)"
    assert closest("math_rl", ["quickstart/math_rl"]) is None
    assert closest("math_rl", ["quickstart/math_rl"], cutoff=0.4) == "quickstart/math_rl"


def test_dotted_keys_are_inner_nodes_and_leaves_in_order():
    assert dotted_keys({"a": {"b": 1, "c": {}}, "d": 2}) == ["a", "a.b", "a.c", "d"]


def test_the_nearest_key_prefers_the_path_that_ends_as_asked():
    keys = dotted_keys({"critic": {"model": {"path": 1}}, "actor": {"model": {"path": 2}, "path": 3}})
    assert nearest_key("actor.modl.path", keys) == "actor.model.path"
    assert nearest_key("model.path", keys) in ("critic.model.path", "actor.model.path")
    assert nearest_key("zzz", keys) is None
