# SPDX-License-Identifier: Apache-2.0
"""Finding and composing recipes: every packaged one, on both platforms, down to verl's own dataclasses."""

import importlib.util

import pytest
from omegaconf import OmegaConf

from klear_verl.cpu import environment
from klear_verl.errors import ConfigError
from klear_verl.launch import recipes
from klear_verl.launch.compose import compose, verl_config_dir
from klear_verl.launch.recipes import find_recipe, recipe_names
from klear_verl.reward.config import RewardConfig
from klear_verl.trainer.config import GroupsConfig, KlearConfig
from tests.launch.preflight_samples import write_model

RL, SFT = recipe_names("rl"), recipe_names("sft")
ON_CPU = ["rl", *(name for name in RL if name.startswith("quickstart/") or name.endswith("_cpu"))]
"""RL recipes that run on the CPU platform; the others are composed here as a GPU machine would."""


@pytest.fixture(params=["cpu", "nvidia"])
def platform(request, monkeypatch):
    monkeypatch.setenv("VERL_PLATFORM", request.param)
    return request.param


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setenv("VERL_PLATFORM", "cpu")


@pytest.mark.parametrize("name", RL)
def test_every_rl_recipe_composes_makes_verls_dataclasses_and_passes_its_validation(name, platform, tmp_path):
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    from klear_verl.algorithm import GPPOLossConfig

    model = write_model(tmp_path / "model", architectures=["Qwen3ForCausalLM"])
    overrides = [f"actor_rollout_ref.model.path={model}", f"critic.model.path={model}"]
    # Micro-batches depend on the machine: the base recipe leaves them to the user. No recipe has a critic.
    overrides.append("critic.ppo_micro_batch_size_per_gpu=8")
    if name == "rl":
        overrides.append("actor_rollout_ref.actor.use_dynamic_bsz=true")
    config = OmegaConf.create(OmegaConf.to_container(compose(name, overrides, kind="rl"), resolve=True))
    role = config.actor_rollout_ref
    actor = omega_conf_to_dataclass(role.actor)
    assert isinstance(actor.policy_loss, GPPOLossConfig)
    assert (actor.policy_loss.loss_mode, actor.policy_loss.beta1, actor.policy_loss.beta2) == ("gppo", 1.0, 1.0)
    assert actor.engine.ulysses_sequence_parallel_size == role.actor.ulysses_sequence_parallel_size
    assert omega_conf_to_dataclass(role.rollout).name == "vllm"
    assert omega_conf_to_dataclass(role.model).hf_config.model_type == "qwen3"
    assert omega_conf_to_dataclass(config.critic).strategy == "fsdp"
    assert omega_conf_to_dataclass(config.algorithm).adv_estimator == "grpo"
    # At the recipe's own world size, nnodes * n_gpus_per_node. verl never makes a dataclass of `reward`, and could not.
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))


@pytest.mark.parametrize("name", SFT)
def test_every_sft_recipe_composes_resolves_and_makes_verls_dataclasses(name, platform, tmp_path):
    from verl.utils.config import omega_conf_to_dataclass

    model = write_model(tmp_path / "model", architectures=["Qwen3ForCausalLM"])
    config = compose(name, [f"model.path={model}"], kind="sft")
    resolved = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    assert omega_conf_to_dataclass(resolved.optim).lr == config.optim.lr
    assert omega_conf_to_dataclass(resolved.engine).use_torch_compile is (platform != "cpu")
    assert omega_conf_to_dataclass(resolved.model).hf_config.model_type == "qwen3"
    assert "hf_model" in omega_conf_to_dataclass(resolved.checkpoint).save_contents
    assert config.trainer.device == ("cpu" if platform == "cpu" else "cuda")


@pytest.mark.parametrize("name", ON_CPU)
def test_on_the_cpu_everything_is_float32_and_nothing_compiled(name, on_cpu):
    role = compose(name, kind="rl").actor_rollout_ref
    assert set(role.actor.fsdp_config.mixed_precision.values()) == {"fp32"}
    assert role.rollout.dtype == "float32"
    assert not role.actor.use_torch_compile
    assert role.model.override_config.attn_implementation == "sdpa"


def test_the_base_recipe_has_the_papers_values(on_cpu):
    config = compose("rl", kind="rl")
    actor = config.actor_rollout_ref.actor
    assert (actor.clip_ratio_low, actor.clip_ratio_high, actor.loss_agg_mode) == (0.2, 0.28, "token-mean")
    assert (actor.optim.lr, actor.optim.lr_warmup_steps, actor.optim.weight_decay) == (1e-6, 10, 0.1)
    assert (actor.grad_clip, actor.entropy_coeff, actor.use_kl_loss) == (1.0, 0.0, False)
    assert (config.actor_rollout_ref.rollout.n, config.actor_rollout_ref.rollout.temperature) == (8, 1.0)
    assert (config.trainer.v1.trainer_mode, config.reward.reward_manager.name) == ("klear_sync", "klear")
    assert config.data.truncation == "error"


def test_the_base_recipe_shows_every_key_of_our_schemas_though_no_file_repeats_them(on_cpu):
    config = OmegaConf.to_container(compose("rl", kind="rl"))
    assert set(config["klear"]) == set(KlearConfig.model_fields)
    assert set(config["klear"]["groups"]) == set(GroupsConfig.model_fields)
    assert set(config["reward"]["reward_kwargs"]["klear"]) == set(RewardConfig.model_fields)
    assert config["reward"]["reward_kwargs"]["klear"]["judge"]["limits"]["cpu_s"] == 4.0
    loss = config["actor_rollout_ref"]["actor"]["policy_loss"]
    assert (loss["beta1"], loss["dual_clip"], loss["positive_lm_coef"]) == (1.0, "off", 0.1)
    text = (recipes.recipes_root() / "rl.yaml").read_text()
    assert not [key for key in ("max_lost_rollouts", "no_think_end", "slots_per_process", "beta1") if key in text]


def test_the_sft_base_has_the_papers_schedule(on_cpu):
    optim = compose("sft", kind="sft").optim
    assert (optim.lr, optim.lr_scheduler_type, optim.min_lr_ratio) == (8e-5, "cosine", 0.5)


def test_the_quickstart_recipes_chain_their_models_through_one_folder(on_cpu, monkeypatch):
    monkeypatch.setenv("KLEAR_QUICKSTART", "/somewhere")
    stages = {"sft": ("model", "sft"), "math_rl": ("actor_rollout_ref.model", "rl")}
    stages["code_rl"] = stages["math_rl"]
    before = "world"
    for name, (node, kind) in stages.items():
        config = compose(f"quickstart/{name}", kind=kind)
        assert OmegaConf.select(config, f"{node}.path") == f"/somewhere/{before}/model"
        assert config.klear.run_dir == f"/somewhere/{name}"
        assert config.trainer.default_local_dir == f"/somewhere/{name}/checkpoints"
        before = name


def test_without_the_variable_the_quickstart_lies_in_the_working_directory(on_cpu, monkeypatch):
    monkeypatch.delenv("KLEAR_QUICKSTART", raising=False)
    assert compose("quickstart/sft", kind="sft").klear.run_dir == "quickstart-out/sft"


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("data.train_batch_size=7", "data.train_batch_size", 7),
        ("actor_rollout_ref.actor.policy_loss.beta1=0.5", "actor_rollout_ref.actor.policy_loss.beta1", 0.5),
        ("algorithm.filter_groups.enable=true", "algorithm.filter_groups.enable", True),
        ("critic.optim.lr=1e-5", "critic.optim.lr", 1e-5),
        ("actor_rollout_ref.rollout.agent.num_workers=3", "actor_rollout_ref.rollout.agent.num_workers", 3),
        ("trainer.logger=[console]", "trainer.logger", ["console"]),
        ("reward.reward_kwargs.klear.think=off", "reward.reward_kwargs.klear.think", "off"),
        ("reward.reward_kwargs.klear.code.shape=hard", "reward.reward_kwargs.klear.code.shape", "hard"),
        ("reward.reward_kwargs.klear.data_sources={x: math}", "reward.reward_kwargs.klear.data_sources.x", "math"),
        ("klear.groups.mode=keep", "klear.groups.mode", "keep"),
        ("~trainer.v1.trainer_mode", "trainer.v1.trainer_mode", None),
    ],
)
def test_any_key_of_verl_and_of_ours_can_be_overridden(on_cpu, override, key, value):
    assert OmegaConf.select(compose("quickstart/math_rl", [override], kind="rl"), key) == value


def test_an_override_wins_over_the_platform_which_wins_over_the_recipe(on_cpu):
    assert compose("quickstart/math_rl", kind="rl").data.dataloader_num_workers == 0
    override = ["data.dataloader_num_workers=4"]
    assert compose("quickstart/math_rl", override, kind="rl").data.dataloader_num_workers == 4


def test_the_platform_can_be_chosen_by_hand(on_cpu):
    assert compose("rl", ["platform/rl=gpu"], kind="rl").trainer.device == "cuda"


def test_the_machine_chooses_the_platform_where_nobody_does(monkeypatch):
    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    for accelerator, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(environment, "has_accelerator", lambda answer=accelerator: answer)
        assert compose("rl", kind="rl").trainer.device == device


@pytest.mark.parametrize("name", ["mine", "mine.yaml"])
def test_a_recipe_of_ones_own_builds_on_the_packaged_ones(on_cpu, tmp_path, monkeypatch, name):
    text = "# @package _global_\ndefaults: [rl, _self_]\ndata: {train_batch_size: 6}\n"
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    config = compose(name, kind="rl")
    assert (config.data.train_batch_size, config.trainer.device) == (6, "cpu")
    assert compose(str(tmp_path / name), kind="rl") == config


def test_composing_leaves_no_trace_for_the_next(on_cpu):
    first = compose("quickstart/math_rl", kind="rl")
    compose("quickstart/sft", ["optim.lr=1.0"], kind="sft")
    assert compose("quickstart/math_rl", kind="rl") == first


def message(*args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        compose(*args, **kwargs)
    return str(caught.value)


def test_an_unknown_recipe_is_named_with_the_nearest_and_all_others(on_cpu):
    text = message("quickstart/maths_rl", kind="rl")
    assert "unknown recipe 'quickstart/maths_rl'" in text
    assert "did you mean 'quickstart/math_rl'?" in text
    assert "quickstart/sft" in text


def test_an_unknown_key_is_named_with_the_nearest(on_cpu):
    text = message("rl", ["data.train_batch_siz=3"], kind="rl")
    assert "'data.train_batch_siz'" in text
    assert "did you mean 'data.train_batch_size'?" in text


@pytest.mark.parametrize(
    ("override", "near"),
    [
        ("klear.groups.moed=keep", "klear.groups.mode"),
        ("reward.reward_kwargs.klear.code.shap=hard", "reward.reward_kwargs.klear.code.shape"),
        ("actor_rollout_ref.actor.policy_loss.dual_clp=off", "actor_rollout_ref.actor.policy_loss.dual_clip"),
    ],
)
def test_an_unknown_key_of_ours_is_named_with_the_nearest(on_cpu, override, near):
    assert f"did you mean '{near}'?" in message("quickstart/math_rl", [override], kind="rl")


def test_an_unreadable_override_is_quoted(on_cpu):
    assert "'data.x=[1'" in message("rl", ["data.x=[1"], kind="rl")


def test_a_malformed_recipe_is_named_with_file_and_line(on_cpu, tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [1\nb: }\n")
    text = message(str(tmp_path / "bad.yaml"), kind="rl")
    assert str(tmp_path / "bad.yaml") in text
    assert "line 2" in text
    assert "YAML" in text


@pytest.mark.parametrize(
    ("name", "kind", "command"),
    [
        ("quickstart/sft", "rl", "klear sft"),
        ("quickstart/math_rl", "sft", "klear train"),
        ("quickstart/eval", "rl", "klear eval"),
    ],
)
def test_a_recipe_of_another_kind_is_refused_with_the_command_that_runs_it(on_cpu, name, kind, command):
    assert f"'{name}' is a recipe for `{command}`" in message(name, kind=kind)


@pytest.mark.parametrize(
    ("base", "kind"),
    [
        ("rl", "rl"),
        ("/math_rl_8gpu", "rl"),
        ("ppo_trainer", "rl"),
        ("sft_8b", "sft"),
        ("/sft_trainer_engine", "sft"),
        ("beside", "sft"),
        ("mine", None),
        ("/loss/gppo", None),
    ],
)
def test_the_kind_of_a_recipe_is_that_of_what_it_builds_on(tmp_path, base, kind):
    (tmp_path / "beside.yaml").write_text("defaults: [/sft, _self_]\n")
    (tmp_path / "mine.yaml").write_text(f"defaults: [{base}, _self_]\n")
    assert recipes.recipe_kind(tmp_path / "mine.yaml") == kind


def test_a_recipe_that_builds_on_nothing_is_refused_with_the_line_it_lacks(on_cpu, tmp_path):
    (tmp_path / "alone.yaml").write_text("data: {train_batch_size: 6}\n")
    text = message(str(tmp_path / "alone.yaml"), kind="rl")
    assert "alone.yaml' is not an RL recipe" in text
    assert "'defaults: [rl, _self_]'" in text


def test_recipe_names_are_those_that_can_be_found_and_no_override_groups():
    assert {"rl", "sft", "quickstart/sft", "quickstart/math_rl", "quickstart/code_rl"} <= set(recipe_names())
    assert not [name for name in recipe_names() if name.startswith(("loss", "platform", "size"))]
    assert all(find_recipe(name).is_file() for name in recipe_names())


def test_verls_configuration_is_found_where_verl_is():
    assert (verl_config_dir() / "ppo_trainer.yaml").is_file()


def test_a_missing_verl_is_said_with_the_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Exception, match="verl is not installed") as caught:
        verl_config_dir()
    assert "pip install verl" in caught.value.remedy
