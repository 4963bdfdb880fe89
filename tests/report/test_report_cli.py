# SPDX-License-Identifier: Apache-2.0
"""`klear report` as a command, and the README picture."""

import importlib.util
import struct
import subprocess
import sys

import pytest

from klear_verl.errors import DataError
from klear_verl.report import report_cli
from klear_verl.report.held_out import save_overview_png
from tests.report.sample_runs import quickstart, rl_run, sft_run


def test_a_report_is_written_and_named(tmp_path, capsys):
    out = tmp_path / "new" / "report.html"
    assert report_cli.main([str(rl_run(tmp_path / "run", steps=3)), "--out", str(out), "--title", "My run"]) == 0
    assert "<h1>My run</h1>" in out.read_text()
    assert str(out) in capsys.readouterr().out


def test_nothing_but_the_report_is_left_behind(tmp_path):
    out = tmp_path / "out" / "report.html"
    report_cli.main([str(rl_run(tmp_path / "run", steps=3)), "--out", str(out)])
    assert list(out.parent.iterdir()) == [out]


def test_an_error_is_one_message_on_standard_error_with_its_remedy(tmp_path, capsys):
    assert report_cli.main([str(tmp_path / "gone"), "--out", str(tmp_path / "r.html")]) == 2
    message = capsys.readouterr().err
    assert "gone: no such directory" in message and "remedy:" in message and "Traceback" not in message


def test_an_error_leaves_the_old_report_alone(tmp_path):
    out = tmp_path / "report.html"
    out.write_text("old")
    report_cli.main([str(tmp_path / "gone"), "--out", str(out)])
    assert out.read_text() == "old"


def test_an_output_that_is_a_directory_is_named(tmp_path, capsys):
    assert report_cli.main([str(sft_run(tmp_path / "run", steps=3)), "--out", str(tmp_path)]) == 2
    assert "is a directory" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "report.html"
    assert report_cli.main([str(sft_run(tmp_path / "run", steps=3)), "--out", str(out)]) == 2
    assert f"--out {out}: cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("package", report_cli.NEEDED)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(tmp_path, capsys, monkeypatch, package):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else real(name))
    assert report_cli.main([str(tmp_path), "--out", str(tmp_path / "r.html")]) == 2
    message = capsys.readouterr().err
    assert package in message and "klear-verl[report]" in message


def test_reporting_imports_neither_verl_nor_torch_nor_ray():
    rooms = "klear_verl.report.page, klear_verl.report.held_out"
    code = f"import sys, {rooms}; print({{'verl', 'torch', 'ray'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250).stdout == "set()\n"


def test_importing_the_command_does_not_import_matplotlib():
    code = "import sys, klear_verl.report.report_cli; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250).stdout == "False\n"


def test_the_overview_is_a_wide_png(tmp_path):
    out = tmp_path / "overview.png"
    save_overview_png(quickstart(tmp_path / "q"), out)
    header = out.read_bytes()[:24]
    width, height = struct.unpack(">II", header[16:24])
    assert header.startswith(b"\x89PNG") and width > 3 * height


def test_an_overview_of_nothing_that_can_be_drawn_says_so(tmp_path):
    with pytest.raises(DataError, match="neither an evaluation nor an RL run"):
        save_overview_png(sft_run(tmp_path / "run", steps=3), tmp_path / "o.png")
