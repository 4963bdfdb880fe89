# SPDX-License-Identifier: Apache-2.0
"""From a spec to runs: what is the same run, where it lies, and what is refused before anything starts."""

import pytest
from omegaconf import OmegaConf

from klear_verl.ablation.ablate_cli import main
from klear_verl.ablation.plan import (
    check_start_model,
    config_digest,
    find_spec,
    load_spec,
    plan_arms,
    plan_runs,
    spec_names,
)
from klear_verl.errors import ConfigError
from klear_verl.launch.compose import compose
from tests.ablation.ablation_samples import SPEC, sample_arm, sample_arms, sample_spec, write_spec


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch):
    monkeypatch.setenv("VERL_PLATFORM", "cpu")


@pytest.fixture(scope="module")
def packaged():
    """The arms of every packaged spec: spec → arm → planned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VERL_PLATFORM", "cpu")
        specs = {name: load_spec(find_spec(name)) for name in spec_names()}
        return {name: {arm.name: arm for arm in plan_arms(spec)} for name, spec in specs.items()}


def planned(tmp_path, text=SPEC):
    spec = load_spec(write_spec(tmp_path, text))
    return spec, plan_arms(spec)


def refusal(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        planned(tmp_path, text)
    return str(caught.value)


def test_gppo_with_the_papers_alpha_is_one_and_the_same_arm_of_three_specs(packaged):
    gppo = packaged["policy_loss"]["gppo"].digest
    assert packaged["positive_lm"]["alpha_0.1"].digest == packaged["group_filter"]["drop"].digest == gppo


def test_all_other_arms_of_the_packaged_specs_differ(packaged):
    digests = [arm.digest for arms in packaged.values() for arm in arms.values()]
    assert len(digests) == 13 and len(set(digests)) == 11


def test_the_packaged_specs_start_from_one_model_and_validate_from_the_first_step(packaged, monkeypatch):
    for arms in packaged.values():
        for arm in arms.values():
            config = arm.config
            assert config.actor_rollout_ref.model.path.endswith("/sft/model")
            assert (config.trainer.val_before_train, config.trainer.test_freq) == (True, 2)
            assert config.trainer.total_training_steps % config.trainer.test_freq == 0


def test_an_arm_is_the_spec_with_its_own_overrides_on_top(packaged):
    losses = {name: arm.config.actor_rollout_ref.actor.policy_loss for name, arm in packaged["positive_lm"].items()}
    assert {name: loss.positive_lm_coef for name, loss in losses.items()} == {
        "alpha_0": 0.0,
        "alpha_0.05": 0.05,
        "alpha_0.1": 0.1,
        "alpha_0.2": 0.2,
    }


def test_the_digest_is_of_values_not_of_their_order_or_spelling():
    first = OmegaConf.create({"a": 1, "b": {"c": "${a}"}})
    assert config_digest(first) == config_digest(OmegaConf.create({"b": {"c": 1}, "a": 1}))
    assert config_digest(first) != config_digest(OmegaConf.create({"b": {"c": 2}, "a": 1}))


def test_an_arm_may_have_a_recipe_of_its_own(tmp_path):
    text = SPEC.replace("gppo: {}", "gppo: {recipe: quickstart/code_rl}")
    _, arms = planned(tmp_path, text)
    assert arms[0].config.data.train_files.endswith("code_train.parquet")
    assert arms[1].config.data.train_files.endswith("math_train.parquet")


def test_two_arms_of_the_same_configuration_are_refused(tmp_path):
    text = refusal(tmp_path, SPEC.replace("loss_mode=vanilla", "loss_mode=gppo"))
    assert "arms 'gppo' and 'vanilla' have the same configuration" in text


def test_an_unknown_key_in_an_arm_names_the_arm_and_the_nearest_key(tmp_path):
    text = refusal(tmp_path, SPEC.replace("policy_loss.loss_mode", "policy_loss.los_mode"))
    assert text.startswith("arm 'vanilla': ")
    assert "'actor_rollout_ref.actor.policy_loss.loss_mode'" in text


def test_runs_go_seed_by_seed_so_that_a_grid_cut_short_can_be_compared(tmp_path):
    runs = plan_runs(sample_spec(), sample_arms(), tmp_path)
    assert [run.title for run in runs] == ["x seed 0", "y seed 0", "x seed 1", "y seed 1"]


def test_a_run_lies_where_its_configuration_has_been_run_before_under_whatever_name(tmp_path):
    spec, arms = sample_spec(seeds=[3]), [sample_arm("mine", "abcdef0123")]
    assert plan_runs(spec, arms, tmp_path)[0].directory == tmp_path / "runs" / "mine-abcdef0123-seed3"
    (tmp_path / "runs" / "theirs-abcdef0123-seed3").mkdir(parents=True)
    assert plan_runs(spec, arms, tmp_path)[0].directory == tmp_path / "runs" / "theirs-abcdef0123-seed3"


def test_the_arguments_set_the_three_seeds_and_the_folder_whatever_its_name(tmp_path):
    spec, arms = planned(tmp_path)
    out = tmp_path / 'a "b", {c}'
    run = plan_runs(spec, arms, out)[3]
    recipe, *overrides = run.arguments
    config = compose(recipe, overrides, kind="rl")
    assert config.klear.run_dir == str(out / "runs" / f"vanilla-{arms[1].digest}-seed1")
    assert (config.data.seed, config.actor_rollout_ref.actor.data_loader_seed) == (1, 1)
    assert config.actor_rollout_ref.rollout.seed == 1
    assert config.actor_rollout_ref.actor.policy_loss.loss_mode == "vanilla"


def test_a_missing_model_is_told_with_the_command_that_makes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("KLEAR_QUICKSTART", str(tmp_path / "nowhere"))
    spec = load_spec(find_spec("reward_shape"))
    with pytest.raises(ConfigError, match="nowhere/sft/model") as caught:
        check_start_model(spec, plan_arms(spec))
    assert caught.value.remedy == f"run first: klear quickstart --stage sft --out {tmp_path / 'nowhere'}"


def test_what_training_would_refuse_is_told_once_with_the_arms_that_it_concerns(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KLEAR_QUICKSTART", str(tmp_path / "nowhere"))
    spec = write_spec(tmp_path, SPEC.replace("gppo: {}", "gppo: {overrides: [klear.groups.mode=dropp]}"))
    assert main([str(spec), "--out", str(tmp_path / "out")]) == 2
    text = capsys.readouterr().err
    assert text.startswith("klear ablate: nothing was started:\n")
    assert "  gppo: klear.groups.mode: Input should be 'keep', 'drop' or 'refill'" in text
    assert text.count("all arms: data.train_files") == 1
    assert not (tmp_path / "out").exists()
