# SPDX-License-Identifier: Apache-2.0
"""Reading a run's metrics.jsonl and those of its earlier attempts."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.errors import DataError
from klear_verl.utils.metrics import put_aside, read_metrics, read_run_metrics
from tests.report.sample_runs import write_rows


def row(step: int, **data: object) -> dict[str, object]:
    return {"step": step, "data": data}


def read(tmp_path: Path, *rows: dict[str, object]):
    path = tmp_path / "metrics.jsonl"
    write_rows(path, list(rows))
    return read_metrics(path).by_name


def test_a_half_written_last_line_is_ignored(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "data": {"loss": 2.0}}\n{"step": 2, "data": {"lo')
    assert read_metrics(path).by_name == {"loss": {1: 2.0}}


def test_a_last_line_cut_inside_a_character_is_ignored(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1, "data": {"loss": 2.0}}\n{"step": 2, "data": {"\xc3')
    assert read_metrics(path).by_name == {"loss": {1: 2.0}}


def test_a_malformed_line_in_the_middle_is_an_error_with_file_and_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "data": {}}\noops\n{"step": 2, "data": {}}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl:2: .*oops"):
        read_metrics(path)


@pytest.mark.parametrize("line", ["[]", "3", '{"data": {}}', '{"step": "1", "data": {}}', '{"step": 1}'])
def test_a_whole_line_that_is_not_a_metrics_row_is_an_error_even_if_last(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DataError, match=":1: "):
        read_metrics(path)


def test_two_rows_of_one_step_are_merged(tmp_path):
    assert read(tmp_path, row(5, **{"train/loss": 1.0}), row(5, **{"val/loss": 1.5})) == {
        "train/loss": {5: 1.0},
        "val/loss": {5: 1.5},
    }


def test_of_a_step_logged_twice_the_last_value_wins(tmp_path):
    assert read(tmp_path, row(1, a=1), row(2, a=2), row(2, a=3)) == {"a": {1: 1.0, 2: 3.0}}


def test_a_resume_drops_the_steps_of_the_abandoned_attempt(tmp_path):
    steps = [row(step, a=step) for step in (1, 2, 3, 4, 5)]
    assert read(tmp_path, *steps, row(3, a=30)) == {"a": {1: 1.0, 2: 2.0, 3: 30.0}}


def test_validation_at_the_resumed_step_keeps_that_steps_training_metrics(tmp_path):
    before = [row(4, a=4), row(5, a=5), row(6, a=6)]
    assert read(tmp_path, *before, row(5, val=0.5), row(6, a=60)) == {"a": {4: 4.0, 5: 5.0, 6: 60.0}, "val": {5: 0.5}}


def test_null_infinite_and_non_numeric_values_are_absent(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "data": {"a": null, "b": "text", "c": Infinity, "d": [1], "e": 1}}\n')
    assert read_metrics(path).by_name == {"e": {1: 1.0}}


def test_an_empty_file_has_no_metrics(tmp_path):
    assert read(tmp_path) == {}


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(-1e6, 1e6)), max_size=30), st.integers(0, 400))
def test_a_file_cut_anywhere_reads_as_the_whole_lines_before_the_cut(tmp_path_factory, pairs, cut):
    path = tmp_path_factory.mktemp("cut") / "metrics.jsonl"
    lines = [json.dumps(row(step, a=value)) + "\n" for step, value in pairs]
    whole = "".join(lines)
    path.write_text(whole[:cut])
    complete = whole[:cut].count("\n")
    # A line whose only missing character is its newline is complete too.
    if complete < len(lines) and whole[:cut] == "".join(lines[: complete + 1])[:-1]:
        complete += 1
    got = read_metrics(path)
    path.write_text("".join(lines[:complete]))
    assert got == read_metrics(path)


def test_the_attempts_of_a_run_are_read_in_their_order(tmp_path):
    for number in range(1, 12):
        write_rows(tmp_path / "metrics.jsonl", [row(number, loss=float(number))])
        put_aside(tmp_path)
    write_rows(tmp_path / "metrics.jsonl", [row(11, loss=0.0)])
    (tmp_path / "metrics.old.jsonl").write_text("a user's copy")
    assert read_run_metrics(tmp_path).get("loss") == {n: float(n) for n in range(1, 11)} | {11: 0.0}


def test_without_metrics_there_is_nothing_to_put_aside_or_read(tmp_path):
    put_aside(tmp_path)
    assert read_run_metrics(tmp_path).by_name == {}
    assert not list(tmp_path.iterdir())
