# SPDX-License-Identifier: Apache-2.0
"""JSON-lines files survive interrupts and strange text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klear_verl.errors import DataError
from klear_verl.utils.json_lines import LineWriter, append_bytes, end_of_last_line, read_lines, write_lines

TEXT = st.text(st.characters(codec=None), max_size=40)


def texts_in(path):
    return [row["text"] for _, row in read_lines(path, "delete it")]


@given(st.lists(TEXT, max_size=5))
def test_any_text_comes_back_as_it_was_written(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("store") / "rows.jsonl"
    with LineWriter(path) as file:
        file.append(*({"text": text} for text in texts))
    assert texts_in(path) == texts


@given(st.lists(TEXT, min_size=1, max_size=4), st.data())
def test_a_file_cut_anywhere_gives_a_prefix_and_can_be_appended_to(tmp_path_factory, texts, data):
    path = tmp_path_factory.mktemp("store") / "rows.jsonl"
    write_lines(path, [{"text": text} for text in texts])
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    found = texts_in(path)
    assert found == texts[: len(found)]
    with LineWriter(path) as file:
        file.append({"text": "next"})
    assert texts_in(path) == [*found, "next"]


@pytest.mark.parametrize("line", ["{", "[1]", "nonsense"])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n' + line + "\n")
    with pytest.raises(DataError, match=r"rows\.jsonl:2"):
        list(read_lines(path, "delete it"))


def test_a_missing_file_has_no_rows(tmp_path):
    assert list(read_lines(tmp_path / "none.jsonl", "")) == []


def test_empty_lines_are_no_rows_and_count(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('\n{"a": 1}\n\n{"a": 2}\n')
    assert list(read_lines(path, "")) == [(2, {"a": 1}), (4, {"a": 2})]


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    with (
        open("/dev/full", "r+b", buffering=0) as full,
        pytest.raises(DataError, match=r"rows\.jsonl: can't be written"),
    ):
        append_bytes(full.fileno(), b"{}\n", tmp_path / "rows.jsonl")


@given(st.binary(max_size=300_000))
@settings(max_examples=20)
def test_the_end_of_the_last_line_is_found_however_far_back(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("end") / "file"
    path.write_bytes(content + b"x" * 200_000)
    with path.open("rb") as file:
        assert end_of_last_line(file.fileno()) == content.rfind(b"\n") + 1
