# SPDX-License-Identifier: Apache-2.0
"""Files and folders are whole or absent, whatever ends the writer."""

import threading

import pytest

from klear_verl.utils.files import replacing, replacing_folder, write_json, write_text


def test_an_atomic_write_replaces_the_file_and_leaves_no_other(tmp_path):
    target = tmp_path / "deep" / "a.json"
    write_text(target, "one")
    write_text(target, "two é")
    assert target.read_text(encoding="utf-8") == "two é"
    assert [path.name for path in target.parent.iterdir()] == ["a.json"]


def test_a_reader_never_sees_half_of_an_atomic_write(tmp_path):
    target, texts, seen = tmp_path / "a", {"a" * 300_000, "b" * 300_000}, set()
    write_text(target, "a" * 300_000)
    done = threading.Event()

    def read():
        while not done.is_set():
            seen.add(target.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        for text in texts:
            write_text(target, text)
    done.set()
    reader.join()
    assert seen <= texts


def test_a_failing_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == '{\n  "old": 1\n}\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_a_folder_takes_its_place_only_when_it_is_full(tmp_path):
    folder = tmp_path / "world"
    with replacing_folder(folder) as aside:
        (aside / "a").write_text("1")
        assert not folder.exists()
    assert (folder / "a").read_text() == "1"


def test_a_folder_that_could_not_be_filled_leaves_the_old_one(tmp_path):
    folder = tmp_path / "world"
    with replacing_folder(folder) as aside:
        (aside / "old").write_text("1")
    with pytest.raises(ZeroDivisionError), replacing_folder(folder) as aside:
        (aside / "new").write_text("2")
        raise ZeroDivisionError
    assert [entry.name for entry in folder.iterdir()] == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["world"]


def test_a_new_folder_holds_nothing_of_the_old_one_nor_of_an_attempt_that_was_killed(tmp_path):
    folder = tmp_path / "world"
    with replacing_folder(folder) as aside:
        (aside / "old").write_text("1")
    (tmp_path / ".world.tmp").mkdir()
    (tmp_path / ".world.tmp" / "half").write_text("")
    with replacing_folder(folder) as aside:
        (aside / "new").write_text("2")
    assert [entry.name for entry in folder.iterdir()] == ["new"]
