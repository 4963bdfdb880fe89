# SPDX-License-Identifier: Apache-2.0
"""SPEC.yaml: found, read, and refused with the file, the key and a remedy."""

import pytest

from klear_verl.ablation.plan import find_spec, load_spec, override_key, spec_names
from klear_verl.errors import ConfigError
from klear_verl.launch.recipes import recipe_names
from tests.ablation.ablation_samples import SPEC, write_spec


def message(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        load_spec(write_spec(tmp_path, text))
    assert str(caught.value).startswith(f"{tmp_path / 'spec.yaml'}: ")
    assert "remedy:" in str(caught.value)
    return str(caught.value)


def test_a_spec_holds_what_its_file_says(tmp_path):
    spec = load_spec(write_spec(tmp_path))
    assert (spec.name, spec.recipe, spec.seeds) == ("sample", "quickstart/math_rl", (0, 1))
    assert list(spec.arms) == ["gppo", "vanilla"]
    assert spec.arms["vanilla"].overrides == ("actor_rollout_ref.actor.policy_loss.loss_mode=vanilla",)


def test_an_arm_without_any_key_is_the_spec_as_it_stands(tmp_path):
    assert load_spec(write_spec(tmp_path, SPEC.replace("gppo: {}", "gppo:"))).arms["gppo"].overrides == ()


@pytest.mark.parametrize(
    ("there", "instead", "complaint"),
    [
        ("seeds:", "seed:", "seed: unknown key; did you mean 'seeds'?"),
        ("{overrides: [actor", "{override: [actor", "arms.vanilla.override: unknown key; did you mean 'overrides'?"),
        ("title: A sample\n", "", "title: Field required"),
        ("seeds: [0, 1]", "seeds: [0, one]", "seeds.1: Input should be a valid integer"),
        ("seeds: [0, 1]", "seeds: [0, -1]", "seeds.1: Input should be greater than or equal to 0"),
        ("seeds: [0, 1]", "seeds: [1, 1]", "the same seed twice is the same run twice"),
        ("seeds: [0, 1]", "figure: {show: [rewards]}", "figure.show.0: Input should be 'training'"),
        ("seeds: [0, 1]", "figure: {shows: [entropy]}", "figure.shows: unknown key; did you mean 'show'?"),
        ("gppo: {}", "a/b: {}", "arms.a/b"),
        ("gppo: {}", "gppo: [x=1]", "arms.gppo: expected a mapping with 'overrides' or 'recipe'"),
        ("name: sample", "name: [", "line 3"),
    ],
)
def test_a_bad_key_is_refused_by_name(tmp_path, there, instead, complaint):
    assert complaint in message(tmp_path, SPEC.replace(there, instead))


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    assert "not a mapping of keys" in message(tmp_path, "- a\n- b\n")


@pytest.mark.parametrize(
    "override", ["data.seed=3", "+klear.run_dir=x", "~actor_rollout_ref.rollout.seed", "++data.seed=1"]
)
def test_an_override_of_what_the_grid_decides_is_refused(tmp_path, override):
    text = message(tmp_path, SPEC.replace("trainer.total_training_steps=2", f"'{override}'"))
    assert f"overrides: '{override}'" in text and "leave it out" in text


def test_the_same_in_an_arm_names_the_arm(tmp_path):
    assert "arms.gppo.overrides: 'data.seed=3'" in message(tmp_path, SPEC.replace("{}", "{overrides: [data.seed=3]}"))


@pytest.mark.parametrize(
    ("override", "key"), [("a.b=1", "a.b"), ("++a.b=c=d", "a.b"), ("~a.b", "a.b"), ("+a=[x=1]", "a")]
)
def test_the_key_of_an_override(override, key):
    assert override_key(override) == key


def test_interpolations_are_resolved_in_the_command_to_run_first_and_left_to_hydra_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", "/somewhere")
    text = SPEC.replace("[trainer.total_training_steps=2]", "['x.y=${oc.env:PLACE}/model']")
    spec = load_spec(write_spec(tmp_path, "prepare: klear make ${oc.env:PLACE}\n" + text))
    assert spec.prepare == "klear make /somewhere"
    assert spec.overrides == ("x.y=${oc.env:PLACE}/model",)


def test_an_interpolation_of_nothing_is_refused(tmp_path):
    assert "NOT_SET_ANYWHERE" in message(tmp_path, "prepare: make ${oc.env:NOT_SET_ANYWHERE}\n" + SPEC)


def test_a_spec_is_found_by_its_packaged_name_and_by_path(tmp_path, monkeypatch):
    assert find_spec("policy_loss").name == "policy_loss.yaml"
    write_spec(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert find_spec("spec").name == find_spec("spec.yaml").name == "spec.yaml"


def test_an_unknown_spec_is_named_with_the_nearest_and_all_others():
    with pytest.raises(ConfigError, match=r"unknown ablation 'policy_los'") as caught:
        find_spec("policy_los")
    assert "did you mean 'policy_loss'?" in caught.value.remedy
    assert all(name in caught.value.remedy for name in spec_names())


def test_specs_are_no_recipes():
    assert not [name for name in recipe_names() if name.startswith("ablations")]
