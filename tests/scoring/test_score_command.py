# SPDX-License-Identifier: Apache-2.0
"""Properties of `klear score`."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from klear_verl.errors import DataError
from klear_verl.reward.config import reward_config
from klear_verl.reward.score import ScoreRequest
from klear_verl.reward.scorer import Scorer
from klear_verl.scoring import workers
from klear_verl.scoring.cli import main
from klear_verl.scoring.output import ResultFile
from klear_verl.scoring.score_file import score_file


def row(number, answer="4", **changes):
    values = {"id": f"r{number}", "data_source": "math_longcot_math_verify", "response": f"<think></think>{answer}"}
    return {**values, "ground_truth": "4", **changes}


@pytest.fixture
def files(tmp_path):
    """Writes the input rows and runs the command; returns (exit status, output rows)."""
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"

    def run(rows, *options):
        source.write_text("".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in rows))
        status = main([str(source), "--out", str(out), "--jobs", "1", "--no-progress", *options])
        return status, [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else None

    run.source, run.out = source, out
    return run


def test_rows_come_out_in_order_with_the_contract_keys_and_status_zero(files):
    status, rows = files([row(1), row(2, "5"), row(3, response="<think>cut")])
    assert status == 0
    assert [item["id"] for item in rows] == ["r1", "r2", "r3"]
    assert list(rows[0]) == ["id", "score", "acc", "pass_rate", "status", "verdicts", "detail", "judge"]
    assert list(rows[0]["judge"]) == ["layers", "cpu_s", "wall_s"]
    assert [(item["score"], item["acc"], item["status"]) for item in rows] == [
        (1.0, True, "graded"),
        (-1.0, False, "graded"),
        (-1.0, False, "malformed"),
    ]


def test_scores_are_those_of_the_scorer_that_training_uses(files):
    _, rows = files([row(1), row(2, "5")])
    with Scorer(reward_config(None)) as scorer:
        requests = [ScoreRequest(**{key: row(1)[key] for key in row(1)}), ScoreRequest(**row(2, "5"))]
        assert [item["score"] for item in rows] == [scorer.score(request).score for request in requests]


def test_integer_ids_stay_integers(files):
    assert files([row(1, id=7)])[1][0]["id"] == 7


def test_code_rows_carry_verdicts_and_pass_rate(files):
    truth = {"inputs": ["1", "2"], "outputs": ["1", "1"]}
    status, rows = files(
        [row(1, data_source="coder1_longcot", response="print(input())", ground_truth=truth)],
        "--raw-code",
        "--reward.think=off",
    )
    assert (status, rows[0]["pass_rate"], rows[0]["verdicts"]) == (0, 0.5, ["AC", "WA"])


def test_ungraded_row_makes_the_status_non_zero_but_is_written(files, capsys):
    status, rows = files([row(1), row(2, ground_truth="?")])
    assert status == 1
    assert (rows[1]["score"], rows[1]["acc"], rows[1]["status"]) == (None, None, "ungraded")
    assert "row 'r2': ungraded: unparsable reference" in capsys.readouterr().err


BAD = {
    "not json": ("{", "not JSON"),
    "not an object": ("[1]", "a row is a JSON object, not a list"),
    "a missing key": ({"id": "x"}, "no column 'data_source' (it has id)"),
    "an ill-typed response": (row(2, response=3), "response is a number, not text"),
    "a duplicate id": (row(1), "id 'r1' is already that of line 1"),
    "an unknown data source": (row(2, data_source="math_longcot"), "did you mean 'math_longcot_math_verify'?"),
    "an unreadable ground truth": (row(2, data_source="coder1_longcot", ground_truth="{"), "not JSON"),
}


@pytest.mark.parametrize(("bad", "message"), BAD.values(), ids=BAD.keys())
def test_bad_row_is_reported_with_its_line_and_the_others_are_scored(files, capsys, bad, message):
    status, rows = files([row(1), bad, row(3)])
    assert status == 1
    assert [item["id"] for item in rows] == ["r1", "r3"]
    errors = capsys.readouterr().err
    assert f"{files.source}, line 2: " in errors and message in errors


@pytest.mark.parametrize(("bad", "message"), BAD.values(), ids=BAD.keys())
def test_strict_stops_at_the_first_bad_row_with_those_before_it_written(files, bad, message):
    status, rows = files([row(1), bad, row(3)], "--strict")
    assert status == 1
    assert [item["id"] for item in rows] == ["r1"]


def test_row_that_is_not_utf8_is_a_bad_row(files, capsys):
    files.source.write_bytes(b'{"id": "\xff"}\n' + json.dumps(row(2)).encode() + b"\n")
    assert main([str(files.source), "--out", str(files.out), "--no-progress"]) == 1
    assert "line 1: not UTF-8" in capsys.readouterr().err
    assert len(files.out.read_text().splitlines()) == 1


@pytest.mark.parametrize("content", [None, "", "\n\n"])
def test_missing_or_empty_file_is_named_and_refused(tmp_path, capsys, content):
    source = tmp_path / "in.jsonl"
    if content is not None:
        source.write_text(content)
    assert main([str(source), "--out", str(tmp_path / "out.jsonl")]) == 2
    assert str(source) in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


def test_interrupted_run_resumes_without_scoring_again_and_drops_a_line_cut_short(files):
    rows = [row(1), row(2, "5"), row(3)]
    _, expected = files(rows)
    lines = files.out.read_text().splitlines(keepends=True)
    marked = lines[0].replace('"detail": ""', '"detail": "kept"')
    files.out.write_text(marked + lines[1][:20])
    status, resumed = files(rows)
    assert status == 0
    assert resumed[0]["detail"] == "kept"
    assert [item["score"] for item in resumed] == [item["score"] for item in expected]


def test_killed_run_leaves_whole_rows_and_resumes(files):
    rows = [row(number, str(number % 8)) for number in range(1000)]
    _, expected = files(rows)
    files.out.unlink()
    options = ["--out", str(files.out), "--jobs", "1", "--no-progress"]
    command = [sys.executable, "-m", "klear_verl.cli", "score", str(files.source), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not files.out.exists() or files.out.read_bytes().count(b"\n") < 20:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.kill()
    kept = files.out.read_bytes().count(b"\n")
    status, resumed = files(rows)
    assert 20 <= kept < 1000 and status == 0
    assert [(item["id"], item["score"]) for item in resumed] == [(item["id"], item["score"]) for item in expected]


def test_scoring_processes_end_with_a_killed_run(files):
    files.source.write_text("".join(json.dumps(row(number)) + "\n" for number in range(5000)))
    options = ["--out", str(files.out), "--jobs", str(workers.MAX_THREADS + 1), "--no-progress"]
    command = [sys.executable, "-m", "klear_verl.cli", "score", str(files.source), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not files.out.exists() or not files.out.read_bytes():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        started = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert len(started) > workers.MAX_THREADS
    assert psutil.wait_procs(started, timeout=120)[1] == []


def test_many_jobs_score_in_processes_as_few_do_in_threads(files, monkeypatch):
    rows = [row(number, str(number % 8)) for number in range(40)] + [
        row(40, ground_truth="?"),
        "{",
        row(41, data_source="x"),
    ]
    expected = files(rows)
    monkeypatch.setattr(workers, "MAX_THREADS", 0)
    status, results = files(rows, "--jobs", "2", "--overwrite")
    assert status == expected[0] == 1
    assert [without_usage(item) for item in results] == [without_usage(item) for item in expected[1]]


def without_usage(item):
    return {key: value for key, value in item.items() if key != "judge"}


def test_killed_scoring_process_is_named_and_the_rest_can_be_resumed(files, monkeypatch, capsys):
    rows = [row(number) for number in range(40)]
    monkeypatch.setattr(workers, "MAX_THREADS", 0)
    append = ResultFile.append

    def append_and_kill(*arguments):
        append(*arguments)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(ResultFile, "append", append_and_kill)
        assert files(rows)[0] == 2
    assert "a scoring process was killed" in capsys.readouterr().err
    assert files(rows)[0] == 0


def test_resume_skips_bad_rows_again(files):
    rows = [row(1), "{", row(2, data_source="nothing"), row(3), row(4)]
    files(rows)
    lines = files.out.read_text().splitlines(keepends=True)
    files.out.write_text("".join(lines[:2]))
    status, resumed = files(rows)
    assert status == 1
    assert [item["id"] for item in resumed] == ["r1", "r3", "r4"]


def test_earlier_ungraded_rows_still_make_the_status_non_zero(files):
    rows = [row(1, ground_truth="?"), row(2)]
    files(rows)
    assert files(rows)[0] == 1


def test_output_of_another_job_is_refused_and_left_alone(files, capsys):
    files([row(1), row(2)])
    before = files.out.read_text()
    assert files([row(3), row(4)])[0] == 2
    assert "holds the result of 'r1' where the input has 'r3' (" in capsys.readouterr().err
    assert files.out.read_text() == before


def test_output_that_is_no_result_file_is_refused_and_left_alone(files, capsys):
    files.out.write_text("precious\n")
    assert main_status(files, [row(1)]) == 2
    assert "nothing to resume from" in capsys.readouterr().err
    assert files.out.read_text() == "precious\n"


def main_status(files, rows):
    files.source.write_text("".join(json.dumps(item) + "\n" for item in rows))
    return main([str(files.source), "--out", str(files.out), "--no-progress"])


def test_resuming_with_another_configuration_is_refused(files, capsys):
    rows = [row(1), "{", row(2)]
    files(rows, "--strict")
    assert files(rows, "--strict", "--reward.think=off")[0] == 2
    assert "was begun with other values of reward.think" in capsys.readouterr().err


def test_overwrite_scores_anew(files):
    files([row(1)])
    assert [item["id"] for item in files([row(2)], "--overwrite")[1]] == ["r2"]


def test_input_as_output_is_refused(files):
    files.source.write_text(json.dumps(row(1)) + "\n")
    with pytest.raises(DataError, match="same file"):
        score_file(files.source, files.source, reward_config(None), progress=False)
    assert json.loads(files.source.read_text()) == row(1)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--reward.thinking=off", "reward.thinking: unknown key; did you mean 'think'"),
        ("--reward.judge.limits.cpu=2", "reward.judge.limits.cpu: unknown key; did you mean 'cpu_s'"),
        ("--reward.math.workers=many", "reward.math.workers"),
        ("--reward.think", "needs a value"),
        ("--strickt", "did you mean --strict?"),
        ("--jobs=0", "--jobs must be at least 1"),
    ],
)
def test_bad_options_are_named(files, capsys, option, message):
    files.source.write_text(json.dumps(row(1)) + "\n")
    try:
        status = main([str(files.source), "--out", str(files.out), option])
    except SystemExit as exit_:
        status = exit_.code
    assert status == 2
    assert message in capsys.readouterr().err
    assert not files.out.exists()


def test_text_that_yaml_would_read_as_a_truth_value_stays_text(files):
    assert files([row(1, response="4")], "--reward.think=off")[1][0]["acc"] is True
