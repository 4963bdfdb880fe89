# SPDX-License-Identifier: Apache-2.0
"""Which checkpoints can share an engine, what identifies one, and what is said of a folder that is none."""

import json

import pytest

from klear_verl.errors import EnvironmentProblem
from klear_verl.evaluation.checkpoint import read_checkpoint


def key(path, dtype="float32"):
    return read_checkpoint("m", str(path), dtype).engine_key


def digest(path):
    return read_checkpoint("m", str(path), "float32").digest


def test_checkpoints_of_one_architecture_share_an_engine_but_not_a_digest(make_checkpoint):
    first, second = make_checkpoint("first", weight=1.0), make_checkpoint("second", weight=2.0)
    assert key(first) == key(second)
    assert digest(first) != digest(second)


def test_a_moved_checkpoint_is_the_same_checkpoint(make_checkpoint):
    first, second = make_checkpoint("first"), make_checkpoint("second")
    assert digest(first) == digest(second)


def test_another_architecture_needs_another_engine(make_checkpoint):
    assert key(make_checkpoint("first")) != key(make_checkpoint("second", hidden_size=16))


def test_keys_that_only_record_how_it_was_saved_do_not_matter(make_checkpoint):
    first = make_checkpoint("first", transformers_version="5.0", _name_or_path="x", dtype="float32")
    assert key(first) == key(make_checkpoint("second", transformers_version="5.1", _name_or_path="y", dtype="bfloat16"))


def test_the_dtype_matters_when_the_engine_takes_it_from_the_checkpoint(make_checkpoint):
    first, second = make_checkpoint("first", dtype="float32"), make_checkpoint("second", dtype="bfloat16")
    assert key(first, "auto") != key(second, "auto")


def test_another_tokenizer_needs_another_engine(make_checkpoint):
    first, second = make_checkpoint("first"), make_checkpoint("second")
    (second / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"b": 0}}}))
    assert key(first) != key(second)


def test_padding_left_in_a_tokenizer_file_does_not_matter(make_checkpoint):
    first, second = make_checkpoint("first"), make_checkpoint("second")
    content = json.loads((first / "tokenizer.json").read_text())
    (second / "tokenizer.json").write_text(json.dumps({**content, "padding": {"length": 7}}))
    assert key(first) == key(second)


def test_another_end_of_text_token_needs_another_engine(make_checkpoint):
    first, second = make_checkpoint("first"), make_checkpoint("second")
    (second / "generation_config.json").write_text(json.dumps({"eos_token_id": 2}))
    assert key(first) != key(second)


def test_a_missing_tensor_needs_another_engine(make_checkpoint):
    # vLLM only warns about tensors that a reload did not bring: the old values would stay.
    first, second = make_checkpoint("first"), make_checkpoint("second")
    data = (second / "model.safetensors").read_bytes()
    (second / "model.safetensors").write_bytes(data.replace(b'"w"', b'"v"'))
    assert key(first) != key(second)


def test_weights_that_cannot_be_looked_into_never_share_an_engine(make_checkpoint):
    folder = make_checkpoint("first")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert key(folder) is None


def test_a_missing_folder_is_named_with_its_key():
    with pytest.raises(EnvironmentProblem, match=r"no such folder[\s\S]*models\.m"):
        read_checkpoint("m", "/nowhere/at/all", "float32")


@pytest.mark.parametrize(
    ("file", "what"),
    [("config.json", "config.json"), ("model.safetensors", "weights"), ("tokenizer.json", "tokenizer")],
)
def test_what_a_folder_lacks_is_named(make_checkpoint, file, what):
    folder = make_checkpoint("first")
    (folder / file).unlink()
    with pytest.raises(EnvironmentProblem, match=f"no {what}"):
        key(folder)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{]"])
def test_a_damaged_weight_file_is_found(make_checkpoint, content):
    folder = make_checkpoint("first")
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(EnvironmentProblem, match="damaged"):
        key(folder)


def test_a_weight_file_that_was_not_written_to_the_end_is_found(make_checkpoint):
    folder = make_checkpoint("first")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-1])
    with pytest.raises(EnvironmentProblem, match=r"model\.safetensors: \d+ bytes instead of \d+"):
        key(folder)
