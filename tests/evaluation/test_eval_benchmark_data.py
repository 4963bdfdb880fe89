# SPDX-License-Identifier: Apache-2.0
"""Benchmarks are read from both formats alike, and whatever is wrong with a file or row is said with its place."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from klear_verl.errors import DataError
from klear_verl.evaluation.benchmark_data import read_benchmark
from klear_verl.evaluation.config import BenchmarkConfig
from klear_verl.reward.config import RewardConfig


def read(path, **changes):
    return read_benchmark(BenchmarkConfig(name="bench", data=str(path), **changes), RewardConfig())


def test_jsonl_and_parquet_give_the_same_problems(tmp_path, row, write_jsonl):
    rows = [row("1 + 1 ?", "2"), row("2 + 1 ?", "3")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data.parquet")

    def content(path):
        return [(p.index, p.prompt, p.data_source, p.ground_truth, p.extra_info) for p in read(path).problems]

    assert content(write_jsonl(rows)) == content(tmp_path / "data.parquet")


def test_max_problems_takes_the_first_rows(row, write_jsonl):
    path = write_jsonl([row(answer=str(number)) for number in range(5)])
    assert [problem.ground_truth for problem in read(path, max_problems=2).problems] == ["0", "1"]


def test_blank_lines_are_no_rows(tmp_path, row, write_jsonl):
    path = write_jsonl([row()])
    path.write_text("\n" + path.read_text() + "\n")
    assert len(read(path).problems) == 1


def test_a_row_of_a_code_data_source_is_code(row, write_jsonl):
    path = write_jsonl([row(), row(data_source="coder1_longcot")])
    assert [problem.is_code for problem in read(path).problems] == [False, True]


def test_the_digest_changes_with_the_file(row, write_jsonl):
    first = read(write_jsonl([row(answer="2")], "one.jsonl")).digest
    assert first != read(write_jsonl([row(answer="3")], "two.jsonl")).digest


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"prompt": None}, "prompt must be a list"),
        ({"prompt": "1 + 1 ?"}, "prompt must be a list"),
        ({"prompt": []}, "prompt must be a list"),
        ({"prompt": [{"role": "user"}]}, "prompt must be a list"),
        ({"data_source": None}, "data_source must be a string"),
        ({"data_source": "math_longcot_math_verfy"}, "math_longcot_math_verify"),
        ({"reward_model": {}}, r"reward_model\.ground_truth is missing"),
        ({"reward_model": "2"}, r"reward_model\.ground_truth is missing"),
        ({"extra_info": 3}, "extra_info must be an object"),
    ],
)
def test_a_bad_row_is_named_with_what_it_lacks(row, write_jsonl, changes, complaint):
    path = write_jsonl([row(), row(**changes)])
    with pytest.raises(DataError, match=rf"benchmark bench: .*data\.jsonl: line 2: .*{complaint}"):
        read(path)


def test_a_line_that_is_not_json_is_named(tmp_path):
    (tmp_path / "data.jsonl").write_text("{\n")
    with pytest.raises(DataError, match="line 1: not JSON"):
        read(tmp_path / "data.jsonl")


def test_a_line_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "data.jsonl").write_bytes(b'{"a": "\xff"}\n')
    with pytest.raises(DataError, match="line 1: not JSON"):
        read(tmp_path / "data.jsonl")


@pytest.mark.parametrize("name", ["none.jsonl", "none.parquet"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(DataError, match=rf"{name}: no such file"):
        read(tmp_path / name)


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "data.jsonl").write_text("")
    with pytest.raises(DataError, match=r"data\.jsonl: has no rows"):
        read(tmp_path / "data.jsonl")


def test_a_damaged_parquet_file_is_named(tmp_path):
    (tmp_path / "data.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match="not a readable parquet file"):
        read(tmp_path / "data.parquet")


def test_another_type_of_file_is_refused(tmp_path):
    (tmp_path / "data.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="neither"):
        read(tmp_path / "data.csv")
