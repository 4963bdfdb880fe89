# SPDX-License-Identifier: Apache-2.0
"""A model that cannot be loaded is found from its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from klear_verl.errors import ConfigError
from klear_verl.launch.preflight.lengths import load_tokenizer
from klear_verl.launch.preflight.model import check_model
from tests.launch.preflight_samples import write_model

KEY = "actor_rollout_ref.model.path"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny-model")


def refuse(path: object) -> str:
    with pytest.raises(ConfigError) as caught:
        check_model(None if path is None else str(path), KEY)
    assert KEY in caught.value.what
    assert caught.value.remedy
    return caught.value.what


def test_whole_model_passes_and_its_size_is_known(model: Path) -> None:
    facts = check_model(str(model), KEY)
    assert facts.parameters == 1024 // 4
    assert facts.largest_tensor_elements == 257 * 64


def test_missing_path_proposes_the_sibling_that_looks_like_it(model: Path) -> None:
    assert "tiny-model?" in refuse(model.parent / "tiny-modle")


def test_missing_parent_is_said(tmp_path: Path) -> None:
    assert "nor does" in refuse(tmp_path / "no" / "model")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_missing_file_is_named(model: Path, name: str) -> None:
    (model / name).unlink()
    assert {"config.json": "config.json", "tokenizer.json": "tokenizer", "model.safetensors": "weights"}[
        name
    ] in refuse(model)


def test_empty_weight_file_is_named(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"")
    assert "model.safetensors is empty" in refuse(model)


def test_missing_shard_of_the_index_is_named(model: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model-00002-of-00002.safetensors" in refuse(model)


def test_malformed_config_is_named(model: Path) -> None:
    (model / "config.json").write_text("{")
    assert "config.json is not valid JSON" in refuse(model)


def test_file_instead_of_a_folder_is_said(model: Path) -> None:
    assert "is a file" in refuse(model / "config.json")


def test_trailing_slash_and_tilde_which_verl_refuses(model: Path) -> None:
    assert "ends with '/'" in refuse(f"{model}/")
    assert "does not expand" in refuse("~/model")


def test_empty_path_is_said() -> None:
    assert "is empty" in refuse(None)


def test_model_id_outside_the_cache_while_downloads_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE=1" in refuse("nobody/no-such-model")


def test_model_id_is_left_to_the_hub_while_downloads_are_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    assert check_model("nobody/no-such-model", KEY).weight_bytes == 0


def test_corrupt_tokenizer_is_named(model: Path) -> None:
    (model / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match="tokenizer cannot be loaded"):
        load_tokenizer(str(model), KEY)


def test_tokenizer_without_chat_template_is_named_unless_one_is_given(model: Path) -> None:
    (model / "chat_template.jinja").unlink()
    with pytest.raises(ConfigError, match="no chat template"):
        load_tokenizer(str(model), KEY)
    assert load_tokenizer(str(model), KEY, chat_template="x").chat_template == "x"
