# SPDX-License-Identifier: Apache-2.0
"""Benchmarks are read from both formats alike, and whatever is wrong with a file or row is said with its place."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from klear_verl.errors import DataError
from klear_verl.evaluation.benchmark import read_benchmark
from klear_verl.evaluation.config import BenchmarkConfig
from klear_verl.reward.config import RewardConfig
from klear_verl.reward.references import ReferenceCheck


def read(path, **changes):
    with ReferenceCheck(RewardConfig()) as references:
        return read_benchmark(
            BenchmarkConfig(name="bench", data=str(path), **changes), RewardConfig(), references.check
        )


def test_jsonl_and_parquet_give_the_same_problems(tmp_path, row, write_jsonl):
    rows = [row("1 + 1 ?", "2"), row("2 + 1 ?", "3")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data.parquet")

    def content(path):
        return [(p.prompt, p.data_source, p.ground_truth, p.extra_info) for p in read(path).problems]

    assert content(write_jsonl(rows)) == content(tmp_path / "data.parquet")


def test_max_problems_takes_the_first_rows(row, write_jsonl):
    path = write_jsonl([row(answer=str(number)) for number in range(5)])
    assert [problem.ground_truth for problem in read(path, max_problems=2).problems] == ["0", "1"]


def test_blank_lines_are_no_rows(tmp_path, row, write_jsonl):
    path = write_jsonl([row()])
    path.write_text("\n" + path.read_text() + "\n")
    assert len(read(path).problems) == 1


def test_a_row_of_a_code_data_source_is_code(row, write_jsonl):
    tests = json.dumps({"inputs": ["1"], "outputs": ["2"]})
    path = write_jsonl([row(), row(data_source="coder1_longcot", reward_model={"ground_truth": tests})])
    assert read(path).code == {1}


def test_the_digest_changes_with_the_file(row, write_jsonl):
    first = read(write_jsonl([row(answer="2")], "one.jsonl")).digest
    assert first != read(write_jsonl([row(answer="3")], "two.jsonl")).digest


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"prompt": "1 + 1 ?"}, "prompt is text, not a list of messages"),
        ({"data_source": "math_longcot_math_verfy"}, "math_longcot_math_verify"),
        ({"reward_model": {"ground_truth": "####"}}, "can't be graded against"),
    ],
)
def test_a_bad_row_is_named_with_what_it_lacks(row, write_jsonl, changes, complaint):
    path = write_jsonl([row(), row(**changes)])
    with pytest.raises(DataError, match=rf"^{path}, line 2: .*{complaint}"):
        read(path)


def test_a_bad_row_behind_the_last_that_is_asked_does_not_matter(row, write_jsonl):
    assert len(read(write_jsonl([row(), row(prompt=3)]), max_problems=1).problems) == 1


@pytest.mark.parametrize("name", ["none.jsonl", "none.parquet"])
def test_a_missing_file_is_named_with_its_benchmark(tmp_path, name):
    with pytest.raises(DataError, match=rf"data of the benchmark bench: .*{name} does not exist"):
        read(tmp_path / name)
