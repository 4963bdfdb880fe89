# SPDX-License-Identifier: Apache-2.0
"""Data files and rows that cannot be used are named by file, and by row or line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from klear_verl.errors import ConfigError, DataError
from klear_verl.launch.preflight.data import check_rl_data, check_sft_data
from klear_verl.launch.preflight.view import RLView, SFTView
from klear_verl.reward.config import RewardConfig
from tests.launch.preflight_samples import CODE_ROW, MATH_ROW, SFT_ROW, rl_view, sft_view, write_jsonl, write_parquet

Writer = Callable[[Path, list[dict[str, Any]]], Path]


def rl(train: object, val: object = None, **data: Any) -> RLView:
    base = {"train_files": train, "val_files": val or train, "max_prompt_length": 64, "train_batch_size": 2}
    return rl_view({f"data.{name}": value for name, value in (base | data).items()})


def check(train: object, **data: Any) -> list[str]:
    return check_rl_data(rl(str(train), **data), RewardConfig(), None)


def refuse(train: object, **data: Any) -> str:
    with pytest.raises((DataError, ConfigError)) as caught:
        check(train, **data)
    assert caught.value.remedy
    return caught.value.what


def with_row(file: Path, change: dict[str, Any], base: dict[str, Any] = MATH_ROW) -> Path:
    return write_jsonl(file, [MATH_ROW, MATH_ROW, base | change])


@pytest.mark.parametrize("writer", [write_jsonl, write_parquet])
def test_good_rows_of_both_tasks_pass_in_both_formats(tmp_path: Path, writer: Writer) -> None:
    name = "rows.parquet" if writer is write_parquet else "rows.jsonl"
    assert check(writer(tmp_path / name, [MATH_ROW, CODE_ROW])) == []


def test_json_array_passes(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([MATH_ROW, CODE_ROW]))
    assert check(file) == []


def test_missing_file_proposes_the_one_that_looks_like_it(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", [MATH_ROW])
    message = refuse(tmp_path / "trian.jsonl")
    assert "data.train_files" in message
    assert f"did you mean {tmp_path / 'train.jsonl'}?" in message


def test_missing_validation_file_is_named_by_its_option(tmp_path: Path) -> None:
    good = write_jsonl(tmp_path / "train.jsonl", [MATH_ROW, MATH_ROW])
    with pytest.raises(DataError, match=r"data\.val_files: .*absent"):
        check_rl_data(rl(str(good), val=[str(tmp_path / "absent.jsonl")]), RewardConfig(), None)


def test_unset_files_are_named() -> None:
    with pytest.raises(ConfigError, match=r"data\.train_files is empty"):
        check_rl_data(rl(None), RewardConfig(), None)


def test_empty_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    assert "is empty (0 bytes)" in refuse(tmp_path / "train.jsonl")


def test_file_without_rows_is_said(tmp_path: Path) -> None:
    write_parquet(tmp_path / "full.parquet", [MATH_ROW])
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "full.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "none.parquet")
    assert "has no rows" in refuse(tmp_path / "none.parquet")


def test_unknown_format_and_folder_are_said(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("prompt\n")
    assert "none of .parquet" in refuse(tmp_path / "train.csv")
    assert "is a folder or a device" in refuse(tmp_path)


def test_bytes_that_are_no_parquet_are_said(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 not really")
    assert "not a readable Parquet file" in refuse(tmp_path / "train.parquet")


def test_malformed_line_is_named_by_its_number(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "train.jsonl", [MATH_ROW])
    file.write_text(file.read_text() + '{"prompt": [\n')
    assert f"{file}, line 2: not JSON" in refuse(file)


def test_line_that_is_no_object_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("3\n")
    assert "line 1: a row is a JSON object, not a number" in refuse(tmp_path / "train.jsonl")


def test_file_that_is_not_utf8_is_said(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_bytes(b'{"prompt": "\xff"}\n')
    assert "not UTF-8" in refuse(tmp_path / "train.jsonl")


@pytest.mark.parametrize("column", ["prompt", "data_source", "reward_model"])
def test_missing_column_is_named(tmp_path: Path, column: str) -> None:
    row = {name: value for name, value in MATH_ROW.items() if name != column}
    assert f"no column '{column}'" in refuse(write_parquet(tmp_path / "train.parquet", [row]))
    assert f"line 1: no column '{column}'" in refuse(write_jsonl(tmp_path / "train.jsonl", [row]))


def test_misspelt_column_is_proposed(tmp_path: Path) -> None:
    row = {name: value for name, value in MATH_ROW.items() if name != "prompt"} | {"prompts": MATH_ROW["prompt"]}
    assert "did you mean 'prompts'?" in refuse(write_parquet(tmp_path / "train.parquet", [row]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": "2 + 2"}, "prompt is text, not a list of messages"),
        ({"prompt": []}, "prompt is an empty list"),
        ({"prompt": [{"role": "user"}]}, "prompt[0] is not an object with role and content"),
        ({"prompt": [{"role": "human", "content": "x"}]}, "prompt[0].role is 'human'"),
        ({"prompt": [{"role": "user", "content": None}]}, "prompt[0].content is null"),
        ({"data_source": 3}, "data_source is 3"),
        ({"reward_model": "4"}, "reward_model is text"),
        ({"reward_model": {"style": "rule"}}, "no ground_truth"),
        ({"reward_model": {"ground_truth": " "}}, "must be a non-empty string or a number, got ' '"),
        ({"reward_model": {"ground_truth": True}}, "must be a non-empty string or a number, got True"),
    ],
)
def test_bad_row_is_named_by_its_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    message = refuse(with_row(tmp_path / "train.jsonl", change))
    assert "train.jsonl, line 3" in message
    assert said in message


def test_bad_parquet_row_is_counted_from_zero(tmp_path: Path) -> None:
    bad = MATH_ROW | {"prompt": [{"role": "human", "content": "x"}]}
    assert "train.parquet, row 2 (from 0): " in refuse(
        write_parquet(tmp_path / "train.parquet", [MATH_ROW, MATH_ROW, bad])
    )


def test_unknown_data_source_is_named_with_the_nearest(tmp_path: Path) -> None:
    message = refuse(with_row(tmp_path / "train.jsonl", {"data_source": "coder1_longcto"}, CODE_ROW))
    assert "line 3" in message
    assert "'coder1_longcto'" in message
    assert "coder1_longcot" in message


def test_data_source_is_free_where_another_manager_scores(tmp_path: Path) -> None:
    file = with_row(tmp_path / "train.jsonl", {"data_source": "mine"})
    assert check_rl_data(rl(str(file)), None, None) == []


@pytest.mark.parametrize(
    "truth", ["{not json", json.dumps({"inputs": ["1"], "outputs": []}), json.dumps({"inputs": ["1"], "outputs": [2]})]
)
def test_unreadable_tests_are_named_by_row(tmp_path: Path, truth: str) -> None:
    row = CODE_ROW | {"reward_model": {"ground_truth": truth}}
    assert "line 3: ground_truth" in refuse(with_row(tmp_path / "train.jsonl", {}, row))


def test_fewer_rows_than_a_batch_are_named(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "train.jsonl", [MATH_ROW])
    assert "1 usable rows, data.train_batch_size=2" in refuse(file)


def test_max_samples_counts_as_the_rows(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "train.jsonl", [MATH_ROW] * 4)
    assert "1 usable rows" in refuse(file, train_max_samples=1)


def test_data_set_class_of_the_users_reads_its_own_format(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "train.jsonl", [{"mine": 1}])
    assert check(file, custom_cls={"path": "my.py", "name": "Mine"}) == []


def sft(file: Path) -> SFTView:
    return sft_view({"data.train_files": str(file), "data.train_batch_size": 2})


def test_good_sft_rows_pass(tmp_path: Path) -> None:
    check_sft_data(sft(write_parquet(tmp_path / "sft.parquet", [SFT_ROW, SFT_ROW])))


def test_sft_reads_parquet_only(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of \.parquet"):
        check_sft_data(sft(write_jsonl(tmp_path / "sft.jsonl", [SFT_ROW, SFT_ROW])))


def test_sft_row_without_an_answer_is_named(tmp_path: Path) -> None:
    unanswered = {"messages": [{"role": "user", "content": "2 + 2 = ?"}]}
    with pytest.raises(DataError, match=r"row 1 \(from 0\): messages has no assistant message"):
        check_sft_data(sft(write_parquet(tmp_path / "sft.parquet", [SFT_ROW, unanswered])))


def test_sft_without_the_messages_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'messages'"):
        check_sft_data(sft(write_parquet(tmp_path / "sft.parquet", [MATH_ROW, MATH_ROW])))
