# SPDX-License-Identifier: Apache-2.0
"""The miniature world: a function of its seed, disjoint where it must be, small enough for the recipes' limits."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest

from klear_verl.quickstart import world
from klear_verl.reward.config import reward_config
from klear_verl.reward.response import split_answer

TABLES = set(world.TABLES)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "world"
    assert world.make_world(folder, seed=0)
    return folder


@pytest.fixture(scope="module")
def rows(made):
    import pyarrow.parquet as pq

    return {name: pq.read_table(made / f"{name}.parquet").to_pylist() for name in TABLES}


@pytest.fixture(scope="module")
def tokenizer(made):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(made / "model")


def digests(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def prompts(rows):
    return {row["prompt"][0]["content"] if "prompt" in row else row["messages"][0]["content"] for row in rows}


def test_the_same_seed_makes_the_same_bytes_in_another_process(made, tmp_path):
    code = (
        "import sys, pathlib; from klear_verl.quickstart.world import make_world; "
        "make_world(pathlib.Path(sys.argv[1]), 0)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "world")], check=True, timeout=250, env=environment)
    assert digests(tmp_path / "world") == digests(made)


def test_another_seed_makes_another_world_in_its_place(made, tmp_path, monkeypatch):
    monkeypatch.setattr(world, "DEMONSTRATIONS", 50)
    assert world.make_world(tmp_path / "world", seed=1)
    first = digests(tmp_path / "world")
    assert world.make_world(tmp_path / "world", seed=2)
    changed = {name for name, digest in digests(tmp_path / "world").items() if first[name] != digest}
    assert {f"{name}.parquet" for name in TABLES} <= changed


def test_a_world_that_is_there_is_kept(made):
    before = digests(made)
    assert not world.make_world(made, seed=0)
    assert digests(made) == before


def test_a_world_of_an_earlier_version_that_lacks_a_table_is_made_anew(made, tmp_path):
    folder = tmp_path / "world"
    shutil.copytree(made, folder)
    (folder / "code_train_filtered.parquet").unlink()
    assert world.make_world(folder, seed=0)
    assert digests(folder) == digests(made)


def test_the_filter_leaves_the_problems_whose_tests_a_right_program_passes(rows):
    """What it does with a strong model's samples; here a right program is known."""
    right = {row["prompt"][0]["content"]: row["reward_model"]["ground_truth"] for row in rows["code_train"]}
    assert prompts(rows["code_train_unfiltered"]) == set(right)
    passed = [
        row
        for row in rows["code_train_unfiltered"]
        if row["reward_model"]["ground_truth"] == right[row["prompt"][0]["content"]]
    ]
    assert passed == rows["code_train_filtered"]
    assert len(passed) == len(right) * 2 // 3


def test_half_a_world_is_made_anew(made, tmp_path, monkeypatch):
    monkeypatch.setattr(world, "DEMONSTRATIONS", 50)
    folder = tmp_path / "world"
    (tmp_path / ".world.tmp").mkdir()
    folder.mkdir()
    (folder / "sft_train.parquet").write_text("interrupted")
    assert world.make_world(folder, seed=0)
    assert json.loads((folder / "world.json").read_text())["seed"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


def test_its_tables_have_the_sizes_it_says(made, rows):
    sizes = json.loads((made / "world.json").read_text())
    assert {name: len(table) for name, table in rows.items()} == {name: sizes[name] for name in TABLES}
    assert (sizes["math_held_out"], sizes["code_held_out"]) == (64, 48)


@pytest.mark.parametrize("task", ["math", "code"])
def test_no_held_out_problem_is_trained_on_in_any_stage(rows, task):
    held_out = prompts(rows[f"{task}_held_out"])
    assert len(held_out) == len(rows[f"{task}_held_out"])
    assert not held_out & prompts(rows[f"{task}_train"])
    assert not held_out & prompts(rows["sft_train"])


def test_the_fine_tuning_is_measured_on_held_out_problems_only(rows):
    assert prompts(rows["sft_held_out"]) <= prompts(rows["math_held_out"]) | prompts(rows["code_held_out"])


def test_every_demonstration_is_in_the_think_format(rows):
    for row in rows["sft_train"][:2000]:
        assert split_answer(row["messages"][1]["content"], prefilled=False)[1] is None


def test_about_half_of_the_demonstrations_are_wrong(rows):
    answers = {row["prompt"][0]["content"]: row["reward_model"]["ground_truth"] for row in rows["math_train"]}
    verdicts = [
        f"\\boxed{{{answers[row['messages'][0]['content']]}}}" in row["messages"][1]["content"]
        for row in rows["sft_train"]
        if row["messages"][0]["content"] in answers
    ]
    assert len(verdicts) > 5000
    assert 0.47 < sum(verdicts) / len(verdicts) < 0.53


def test_prompts_and_responses_fit_the_recipes_64_tokens_each(rows, tokenizer):
    for name in ("math_train", "math_held_out", "code_train", "code_held_out"):
        for row in rows[name]:
            ids = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=False)
            assert len(ids) <= 64, row["extra_info"]["id"]
    texts = list({row["messages"][1]["content"] for name in ("sft_train", "sft_held_out") for row in rows[name]})
    ended = tokenizer([f"{text}<|im_end|>\n" for text in texts]).input_ids
    assert max(map(len, ended)) <= 64


def test_the_reward_knows_the_task_of_every_row(rows):
    config = reward_config({})
    for task in ("math", "code"):
        assert {config.task_of(row["data_source"]) for row in rows[f"{task}_train"]} == {task}
