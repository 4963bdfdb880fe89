# SPDX-License-Identifier: Apache-2.0
"""The one reader of rows: the same rows from each format, and each way in which a file or a row can be bad, named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.data import rows as rows_module
from klear_verl.data.rows import Row, check_file, count_rows, good_row, read_rows
from klear_verl.errors import DataError
from tests.data.row_files import FORMATS, place, write_rows

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "prompt": st.lists(st.fixed_dictionaries({"role": TEXT, "content": TEXT}), min_size=1, max_size=2),
            "data_source": TEXT,
            "reward_model": st.fixed_dictionaries({"style": st.just("rule"), "ground_truth": TEXT}),
            "number": st.integers(-(2**63), 2**63 - 1) | st.none(),
            "flag": st.booleans(),
            "weight": st.floats(allow_nan=False, allow_infinity=False),
        }
    ),
    min_size=1,
    max_size=5,
)


def read(file: Path, *columns: str) -> list[Row | DataError]:
    return list(read_rows(file, columns))


def values(file: Path) -> list[dict[str, Any]]:
    return [good_row(row).values for row in read(file)]


def refusal(file: Path, *columns: str) -> DataError:
    """Of the file as a whole, or of its first bad row."""
    try:
        found = next(row for row in read(file, *columns) if isinstance(row, DataError))
    except DataError as error:
        found = error
    assert found.remedy
    return found


@given(ROWS)
def test_the_three_formats_give_the_same_rows_and_count_them_alike(tmp_path_factory, written):
    folder = tmp_path_factory.mktemp("rows")
    files = [write_rows(folder, format, written) for format in FORMATS]
    for file in files:
        assert values(file) == written
        assert count_rows(file) == len(written)


@pytest.mark.parametrize("format", FORMATS)
def test_a_row_is_counted_as_its_format_counts_and_the_message_says_how(tmp_path, format):
    file = write_rows(tmp_path, format, [{"a": 1}, {"a": 2}])
    assert [good_row(row).where for row in read(file)] == [place(file, 0), place(file, 1)]


def test_blank_lines_are_no_rows_but_count_as_lines(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'\n{"a": 1}\r\n \t\r\n{"a": 2}')
    assert [good_row(row).number for row in read(file)] == [2, 4]
    assert count_rows(file) == 2


def test_json_lines_may_be_called_json(tmp_path):
    file = tmp_path / "rows.json"
    file.write_text('{"a": 1}\n{"a": 2}\n')
    assert values(file) == [{"a": 1}, {"a": 2}]


BAD_LINES = {
    "broken": (b'{"a": ', "not JSON: Expecting value (column 7)"),
    "cut in a string": (b'{"a": "x', "not JSON: Unterminated string"),
    "two values": (b"{} {}", "not JSON: Extra data"),
    "a list": (b"[1]", "a row is a JSON object, not a list"),
    "text": (b'"a"', "a row is a JSON object, not text"),
    "a number": (b"3", "a row is a JSON object, not a number"),
    "null": (b"null", "a row is a JSON object, not null"),
    "NaN": (b'{"a": NaN}', "NaN is no JSON value"),
    "infinity": (b'{"a": -Infinity}', "-Infinity is no JSON value"),
    "Latin-1": ('{"a": "é"}'.encode("latin-1"), "not UTF-8 (byte 7)"),
    "UTF-16": ('{"a": 1}'.encode("utf-16-le"), "not JSON"),
    "a byte order mark": (b'\xef\xbb\xbf{"a": 1}', "starts with a byte order mark"),
    "deep": (b"[" * 100_000, "nested too deeply"),
    "a huge number": (b'{"a": ' + b"9" * 5000 + b"}", "not JSON: Exceeds the limit"),
    "a missing column": (b'{"b": 1}', "no column 'a' (it has b)"),
    "a misspelt column": (b'{"aa": 1, "b": 2}', "no column 'a' (did you mean 'aa'?)"),
}


@pytest.mark.parametrize(("line", "said"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_bad_line_is_named_and_those_around_it_are_read(tmp_path, line, said):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"a": 1}\n' + line + b'\n{"a": 3}\n')
    first, bad, last = read(file, "a")
    assert isinstance(bad, DataError)
    assert bad.what.startswith(f"{file}, line 2: ")
    assert said in bad.what
    assert [good_row(first).values, good_row(last).values] == [{"a": 1}, {"a": 3}]


def test_a_line_that_is_too_long_is_named_without_being_held(tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "MAX_LINE_BYTES", 1 << 20)
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"a": "' + b"x" * (3 << 20) + b'"}\n{"a": 1}\n')
    long, good = read(file)
    assert isinstance(long, DataError) and "line 1: longer than 1 MiB" in long.what
    assert good_row(good).number == 2


def test_an_array_that_is_cut_short_is_named_with_the_place(tmp_path):
    file = tmp_path / "rows.json"
    file.write_text('[{"a": 1},\n {"a": ')
    assert refusal(file).what == f"{file}: not JSON: Expecting value (line 2, column 8)"
    with pytest.raises(DataError, match="not JSON"):
        count_rows(file)


def test_an_element_of_an_array_that_is_no_object_is_named(tmp_path):
    assert refusal(write_rows(tmp_path, "json", [{"a": 1}, [2]])).what == (
        f"{tmp_path / 'rows.json'}, row 1 (from 0): a row is a JSON object, not a list"
    )


def test_an_array_in_a_file_of_lines_is_told_where_it_belongs(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('[\n{"a": 1}\n]\n')
    assert ".json" in refusal(file).remedy


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing", b"PAR1" * 100])
def test_what_is_no_parquet_is_named(tmp_path, content):
    file = tmp_path / "rows.parquet"
    file.write_bytes(content)
    assert refusal(file).what.startswith(f"{file} is not a readable Parquet file: ")
    with pytest.raises(DataError, match="is not a readable Parquet file"):
        count_rows(file)


@given(st.data())
def test_a_parquet_file_cut_anywhere_is_refused(tmp_path_factory, data):
    file = write_rows(tmp_path_factory.mktemp("cut"), "parquet", [{"a": "x" * 100}] * 50)
    content = file.read_bytes()
    file.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert "is not a readable Parquet file" in refusal(file).what


def test_a_page_that_is_damaged_is_found_when_it_is_read(tmp_path):
    file = write_rows(tmp_path, "parquet", [{"a": str(number) * 50} for number in range(1000)])
    content = bytearray(file.read_bytes())
    content[40:400] = bytes(360)
    file.write_bytes(content)
    assert "is not a readable Parquet file" in refusal(file).what


def test_a_text_of_parquet_that_is_not_utf8_is_named_by_its_row(tmp_path):
    file = tmp_path / "rows.parquet"
    texts = pa.array([b"good", b"\xff\xfe", b"good"]).view(pa.string())
    pq.write_table(pa.table({"a": texts}), file)
    first, bad, last = read(file)
    assert isinstance(bad, DataError) and bad.what == f"{file}, row 1 (from 0): not UTF-8"
    assert good_row(first).values == good_row(last).values == {"a": "good"}


def test_a_column_that_parquet_lacks_is_said_once_for_the_file(tmp_path):
    file = write_rows(tmp_path, "parquet", [{"prompts": 1}] * 3)
    with pytest.raises(DataError, match=r"rows.parquet: no column 'prompt' .did you mean 'prompts'"):
        read(file, "prompt")


def test_of_parquet_only_the_columns_that_are_asked_for_are_read(tmp_path):
    file = write_rows(tmp_path, "parquet", [{"a": 1, "b": 2, "c": 3}])
    assert [good_row(row).values for row in read_rows(file, ["a"], ["b", "d"])] == [{"a": 1, "b": 2}]


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_without_rows_is_refused(tmp_path, format):
    file = write_rows(tmp_path, format, [] if format != "parquet" else [{"a": 1}])
    if format == "parquet":
        pq.write_table(pq.read_table(file).slice(0, 0), file)
    assert refusal(file).what == f"{file} has no rows"
    assert count_rows(file) == 0


def test_a_file_that_cannot_be_used_is_named_with_its_option(tmp_path):
    (tmp_path / "rows.csv").write_text("a\n")
    (tmp_path / "none.jsonl").touch()
    for path, said in [
        (tmp_path / "rows.csv", "is none of .parquet, .json, .jsonl"),
        (tmp_path / "none.jsonl", "is empty"),
        (tmp_path, "is a folder"),
        (tmp_path / "nona.jsonl", "did you mean"),
        (tmp_path / "no" / "rows.jsonl", "nor does the folder"),
    ]:
        with pytest.raises(DataError) as caught:
            check_file(path, "data.train_files")
        assert caught.value.what.startswith(f"data.train_files: {path} ")
        assert said in caught.value.what


def test_rows_are_read_as_a_stream(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"a": 1}) + "\n{")
    assert good_row(next(read_rows(file))).values == {"a": 1}
