# SPDX-License-Identifier: Apache-2.0
"""A checkpoint goes on over the data that it was saved with, or not at all; with verl's own data sets."""

import json

import pytest
from omegaconf import OmegaConf
from verl.utils import hf_tokenizer
from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset
from verl.utils.dataset.rl_dataset import RLHFDataset

from klear_verl.data.identity import check_identity, data_identity, save_identity
from klear_verl.errors import DataError
from tests.launch.preflight_samples import MATH_ROW, SFT_ROW, write_model, write_parquet


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return hf_tokenizer(str(write_model(tmp_path_factory.mktemp("model"))))


@pytest.fixture
def dataset(tmp_path, tokenizer, monkeypatch):
    """Reads `prompts` as a new process would, from files that are always of the same names."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def make(*prompts, files=1, **options):
        share = -(-len(prompts) // files)
        paths = []
        for number in range(files):
            rows = [
                {**MATH_ROW, "prompt": [{"role": "user", "content": prompt}]}
                for prompt in prompts[number * share : (number + 1) * share]
            ]
            paths.append(str(write_parquet(tmp_path / f"train{number}.parquet", rows)))
        config = OmegaConf.create({"max_prompt_length": 64, "filter_overlong_prompts": False, **options})
        return RLHFDataset(OmegaConf.create(paths), tokenizer, config)

    return make


def refusal(tmp_path, then, now):
    folder = tmp_path / "global_step_5"
    folder.mkdir(exist_ok=True)
    save_identity(folder, then)
    with pytest.raises(DataError) as caught:
        check_identity(folder, now)
    assert str(folder) in caught.value.what
    assert "klear.run_dir" in caught.value.remedy
    return caught.value


def test_the_same_data_passes_and_nothing_but_its_file_is_left(tmp_path, dataset):
    folder = tmp_path / "global_step_5"
    folder.mkdir()
    save_identity(folder, data_identity(dataset("a", "b", "c")))
    check_identity(folder, data_identity(dataset("a", "b", "c")))
    assert [path.name for path in folder.iterdir()] == ["data.json"]


@pytest.mark.parametrize("now", [("a", "b"), ("a", "b", "c", "d")], ids=["fewer", "more"])
def test_another_number_of_rows_is_refused_with_both(tmp_path, dataset, now):
    then = data_identity(dataset("a", "b", "c"))
    assert f"3 rows then, {len(now)} now" in refusal(tmp_path, then, data_identity(dataset(*now))).what


@pytest.mark.parametrize("now", [("a", "b", "x"), ("a", "c", "b")], ids=["another row", "another order"])
def test_other_rows_of_the_same_number_are_refused(tmp_path, dataset, now):
    then = data_identity(dataset("a", "b", "c"))
    assert "the same number of rows (3), other content" in refusal(tmp_path, then, data_identity(dataset(*now))).what


def test_every_file_counts(tmp_path, dataset):
    then = data_identity(dataset("a", "b", "c", "d", files=2))
    assert data_identity(dataset("a", "b", "c", "d", files=2)) == then
    assert "other content" in refusal(tmp_path, then, data_identity(dataset("a", "b", "c", "x", files=2))).what


def test_rows_are_counted_as_they_are_trained_on_after_the_filter(dataset):
    long = "x" * 100
    made = dataset("a", long, "c", filter_overlong_prompts=True, filter_overlong_prompts_workers=1)
    assert data_identity(made)["rows"] == 2


def test_a_file_that_was_fetched_is_read_where_it_was_put(dataset):
    made = dataset("a", "b")
    local = data_identity(made)
    made.original_data_files = ["hdfs://far/away/train.parquet"]
    assert data_identity(made) == local


def test_an_sft_data_set_is_identified_by_its_files_too(tmp_path, tokenizer):
    def identity(answer):
        row = {"messages": [SFT_ROW["messages"][0], {"role": "assistant", "content": answer}]}
        file = write_parquet(tmp_path / "sft.parquet", [row])
        return data_identity(MultiTurnSFTDataset(str(file), tokenizer, OmegaConf.create({"max_length": 64})))

    assert "other content" in refusal(tmp_path, identity("4"), identity("5")).what


def test_of_a_class_of_the_users_rows_alone_are_compared(tmp_path, dataset):
    then = data_identity(["a", "b"])
    assert then == {"rows": 2, "sha256": None}
    folder = tmp_path / "global_step_5"
    folder.mkdir()
    save_identity(folder, then)
    check_identity(folder, data_identity(["x", "y"]))
    check_identity(folder, data_identity(dataset("a", "b")))
    assert "2 rows then, 1 now" in refusal(tmp_path, then, data_identity(["a"])).what


def test_files_that_a_data_set_reads_from_elsewhere_leave_the_rows_to_compare(dataset):
    made = dataset("a", "b")
    made.data_files = ["s3://bucket/train.parquet"]
    assert data_identity(made) == {"rows": 2, "sha256": None}


def test_a_checkpoint_of_before_passes(tmp_path):
    check_identity(tmp_path, {"rows": 1, "sha256": "a"})


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"rows": "many", "sha256": null}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "data.json").write_text(text)
    with pytest.raises(DataError, match=r"data\.json does not say which data"):
        check_identity(tmp_path, {"rows": 1, "sha256": "a"})


@pytest.mark.parametrize("inside", ["actor/huggingface", "huggingface"], ids=["RL", "SFT"])
def test_the_remedy_names_the_weights_that_a_new_run_can_begin_with(tmp_path, inside):
    then, now = {"rows": 1, "sha256": None}, {"rows": 2, "sha256": None}
    assert "verl.model_merger" in refusal(tmp_path, then, now).remedy
    copy = tmp_path / "global_step_5" / inside
    copy.mkdir(parents=True)
    (copy / "model.safetensors").touch()
    assert f"actor_rollout_ref.model.path={copy}" in refusal(tmp_path, then, now).remedy


def test_the_file_is_json_that_a_person_can_read(tmp_path):
    save_identity(tmp_path, {"rows": 3, "sha256": "ab"})
    assert json.loads((tmp_path / "data.json").read_text()) == {"rows": 3, "sha256": "ab"}
