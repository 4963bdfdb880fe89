# SPDX-License-Identifier: Apache-2.0
"""The files survive interrupts and strange text, and two runs never write to one folder."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.errors import DataError, EnvironmentProblem
from klear_verl.evaluation.store import LineWriter, locked, read_lines, write_json, write_lines

TEXT = st.text(st.characters(codec=None), max_size=40)


@given(st.lists(TEXT, max_size=5))
def test_any_text_comes_back_as_it_was_written(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("store") / "rows.jsonl"
    with LineWriter(path) as file:
        file.append({"text": text} for text in texts)
    assert [row["text"] for row in read_lines(path)] == texts


@given(st.lists(TEXT, min_size=1, max_size=4), st.data())
def test_a_file_cut_anywhere_gives_a_prefix_and_can_be_appended_to(tmp_path_factory, texts, data):
    path = tmp_path_factory.mktemp("store") / "rows.jsonl"
    write_lines(path, [{"text": text} for text in texts])
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    found = [row["text"] for row in read_lines(path)]
    assert found == texts[: len(found)]
    with LineWriter(path) as file:
        file.append([{"text": "next"}])
    assert [row["text"] for row in read_lines(path)] == [*found, "next"]


@pytest.mark.parametrize("line", ["{", "[1]", "nonsense"])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n' + line + "\n")
    with pytest.raises(DataError, match=r"rows\.jsonl:2"):
        read_lines(path)


def test_a_missing_file_has_no_rows(tmp_path):
    assert read_lines(tmp_path / "none.jsonl") == []


def test_a_failing_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert path.read_text() == '{\n  "old": 1\n}\n'


def test_a_folder_in_use_is_refused_and_free_again_when_its_holder_dies(tmp_path):
    code = "import sys; from klear_verl.evaluation.store import locked; from pathlib import Path\n"
    code += "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(EnvironmentProblem, match="another evaluation"), locked(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with locked(tmp_path):
        pass


def test_an_out_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot be written"), locked(tmp_path / "out"):
        pass
