# SPDX-License-Identifier: Apache-2.0
"""One process at a time, told who holds the lock; no lock outlives those that share it."""

import errno
import subprocess
import sys
import threading

import pytest

from klear_verl.errors import EnvironmentProblem
from klear_verl.utils import locks
from klear_verl.utils.locks import FolderLock, lock_descriptor

HOLD = """
import sys
from pathlib import Path
from klear_verl.utils.locks import FolderLock
with FolderLock(Path(sys.argv[1]), ""):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_folder_in_use_is_refused_with_the_holder_and_the_remedy(holder, tmp_path):
    with pytest.raises(EnvironmentProblem, match=rf"at work in .*\(process {holder.pid} on .*: -c") as caught:
        FolderLock(tmp_path, "choose another --out")
    assert caught.value.remedy == "wait for it, end it, or choose another --out"


def test_a_folder_is_free_again_when_its_holder_was_killed(holder, tmp_path):
    holder.kill()
    holder.wait()
    FolderLock(tmp_path, "").close()


def test_patience_outlasts_a_holder_that_ends(holder, tmp_path):
    threading.Timer(0.5, holder.kill).start()
    FolderLock(tmp_path, "", patience_s=60).close()


def test_a_process_that_shares_the_lock_holds_it_beyond_the_end_of_the_first(tmp_path):
    lock = FolderLock(tmp_path, "")
    sharing = subprocess.Popen(["sleep", "300"], pass_fds=[lock.descriptor])
    lock.close()
    try:
        with pytest.raises(EnvironmentProblem, match="at work"):
            FolderLock(tmp_path, "")
    finally:
        sharing.kill()
        sharing.wait()
    FolderLock(tmp_path, "").close()


def test_a_child_that_was_not_given_the_lock_does_not_hold_it(tmp_path):
    with FolderLock(tmp_path, ""):
        child = subprocess.Popen(["sleep", "300"])
    try:
        FolderLock(tmp_path, "").close()
    finally:
        child.kill()
        child.wait()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        FolderLock(tmp_path / "out", "choose another --out")


def test_a_lock_on_a_file_of_data_shows_nothing_of_the_data(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"secret": 1}\n')
    with path.open() as first, path.open() as second:
        lock_descriptor(first.fileno(), path, "")
        with pytest.raises(EnvironmentProblem) as caught:
            lock_descriptor(second.fileno(), path, "")
    assert "secret" not in str(caught.value)


@pytest.fixture
def no_flock(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)


def test_a_file_system_without_locks_is_named_with_what_to_do(no_flock, tmp_path):
    with pytest.raises(EnvironmentProblem, match="the file system has no locks") as caught:
        FolderLock(tmp_path, "choose a folder")
    assert "flock" in caught.value.remedy and "KLEAR_NO_LOCKS=1" in caught.value.remedy


def test_without_locks_work_goes_on_only_where_the_user_has_said_so(no_flock, monkeypatch, tmp_path):
    monkeypatch.setenv("KLEAR_NO_LOCKS", "1")
    FolderLock(tmp_path, "").close()
