# SPDX-License-Identifier: Apache-2.0
"""A bad override gives one message with the key and the nearest valid key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import EnvironmentProblem
from klear_verl.launch.compose import explain_hydra_error

BASE = """
trainer: {nnodes: 1, device: cpu}
actor_rollout_ref: {rollout: {n: 8, temperature: 1.0}, actor: {ppo_mini_batch_size: 16}}
data: {train_files: null, refers: "${data.train_flies}"}
"""


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "fsdp.yaml").write_text("a: 1\n")
    (tmp_path / "grouped.yaml").write_text("defaults:\n  - engine: fsdp\n")
    return tmp_path


def explain(config_dir: Path, override: str, name: str = "base") -> str:
    def composed(overrides: list[str], which: str) -> DictConfig:
        with initialize_config_dir(str(config_dir), version_base=None):
            return compose(which, overrides=overrides)

    try:
        composed([override] if override else [], name)
    except Exception as error:  # any of Hydra's: its explanation is what the tests read
        return str(explain_hydra_error(error, composed([], "base")))
    raise AssertionError(f"{override} was accepted")


@pytest.mark.parametrize(
    ("override", "key", "nearest"),
    [
        ("trainer.nodes=2", "trainer.nodes", "trainer.nnodes"),
        ("trainr.nnodes=2", "trainr.nnodes", "trainer.nnodes"),
        ("actor_rollout_ref.rolout.n=4", "actor_rollout_ref.rolout.n", "actor_rollout_ref.rollout.n"),
        ("rollout.temperature=0.6", "rollout.temperature", "actor_rollout_ref.rollout.temperature"),
        ("ppo_mini_batch_size=4", "ppo_mini_batch_size", "actor_rollout_ref.actor.ppo_mini_batch_size"),
        ("~trainer.devise", "trainer.devise", "trainer.device"),
    ],
)
def test_unknown_key_is_named_with_the_nearest_valid_one(
    config_dir: Path, override: str, key: str, nearest: str
) -> None:
    message = explain(config_dir, override)
    assert f"'{key}'" in message
    assert f"did you mean '{nearest}'?" in message


def test_key_without_any_likeness_gets_no_proposal(config_dir: Path) -> None:
    assert "did you mean" not in explain(config_dir, "zzzzqqqq=1")


def test_plus_before_an_existing_key_is_named(config_dir: Path) -> None:
    assert "drop the '+': trainer.nnodes" in explain(config_dir, "+trainer.nnodes=2")


@pytest.mark.parametrize("override", ["trainer.nnodes", "trainer.nnodes=[1", "trainer.nnodes=${oops"])
def test_syntax_error_quotes_the_override(config_dir: Path, override: str) -> None:
    message = explain(config_dir, override)
    assert repr(override) in message
    assert "https://" not in message


def test_unknown_group_option_lists_the_options(config_dir: Path) -> None:
    assert "fsdp" in explain(config_dir, "engine=megatronn", name="grouped")


def test_search_paths_are_not_shown(config_dir: Path) -> None:
    assert str(config_dir) not in explain(config_dir, "engine=zzz", name="grouped")


def test_unknown_primary_config_is_named(config_dir: Path) -> None:
    assert "'bsae'" in explain(config_dir, "", name="bsae")


def test_dangling_interpolation_names_owner_and_nearest() -> None:
    cfg = OmegaConf.create(BASE)
    with pytest.raises(Exception, match="train_flies") as caught:
        OmegaConf.to_container(cfg, resolve=True)
    message = str(explain_hydra_error(caught.value, cfg))
    assert "data.refers" in message
    assert "'data.train_files'" in message


def test_wrong_attribute_of_a_composed_config_is_named() -> None:
    cfg = OmegaConf.create(BASE)
    OmegaConf.set_struct(cfg, True)
    with pytest.raises(AttributeError) as caught:
        _ = cfg.trainer.devices
    assert "'trainer.device'" in str(explain_hydra_error(caught.value, cfg))


def test_error_of_ours_passes_unchanged() -> None:
    ours = EnvironmentProblem("verl is not installed", "install it")
    assert explain_hydra_error(ours) is ours


def test_malformed_yaml_names_file_and_line(config_dir: Path) -> None:
    (config_dir / "broken.yaml").write_text("a: 1\nb: [1\nc: 2\n")
    message = explain(config_dir, "", name="broken")
    assert "broken.yaml, line 3" in message
