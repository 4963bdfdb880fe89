# SPDX-License-Identifier: Apache-2.0
"""What `klear score` does with its files, whatever the scores are: a stand-in scores here, so that files can be large
and ends frequent.
"""

import io
import json
import threading
import tracemalloc

import pytest

from klear_verl.data import rows as rows_module
from klear_verl.errors import DataError, EnvironmentProblem
from klear_verl.reward.config import reward_config
from klear_verl.reward.score import Score
from klear_verl.scoring import score_file as score_file_module
from klear_verl.scoring import workers as score_workers_module
from klear_verl.scoring.cli import main
from klear_verl.scoring.output import ResultFile
from klear_verl.scoring.score_file import score_file


class StandIn:
    """Scores by the length of the response. A response that is the name of an event waits for it."""

    events: dict[str, threading.Event]
    scored: list[str]

    def __init__(self, config):
        pass

    def score(self, request):
        if request.ground_truth == "bad":
            raise DataError(f"row '{request.id}': bad")
        if request.response in self.events:
            assert self.events[request.response].wait(20)
        self.scored.append(request.id)
        correct = len(request.response) % 2 == 0
        return Score(request.id, float(correct), correct, None, "graded", verdicts=("AC", "WA"))

    def check(self, request):
        if request.ground_truth == "bad":
            raise DataError(f"row '{request.id}': bad")

    def close(self):
        pass


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    StandIn.events, StandIn.scored = {}, []
    monkeypatch.setattr(score_workers_module, "Scorer", StandIn)
    return StandIn


@pytest.fixture
def run(tmp_path):
    """Writes rows (dicts, or bytes as they are) and scores them; returns (summary, output rows, messages)."""
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"

    def run(rows, **options):
        source.write_bytes(b"".join(item if isinstance(item, bytes) else line(item) for item in rows))
        messages = io.StringIO()
        options = {"progress": False, **options}
        summary = score_file(source, out, reward_config(None), messages=messages, **options)
        return summary, [json.loads(text) for text in out.read_text().splitlines()], messages.getvalue()

    run.source, run.out = source, out
    return run


def row(number, **changes):
    return {"id": f"r{number}", "data_source": "math", "response": "x" * number, "ground_truth": "1", **changes}


def line(item):
    return json.dumps(item).encode() + b"\n"


def test_end_after_any_byte_is_resumed_to_the_same_file(run):
    rows = [row(1), b"{\n", row(2), row(3, ground_truth="bad"), row(4, id=4), row(5)]
    run(rows)
    whole = run.out.read_bytes()
    ends = [number + 1 for number, byte in enumerate(whole) if byte == ord("\n")]
    for length in {*range(0, len(whole), 7), *ends, *(end - 1 for end in ends), *(end + 1 for end in ends[:-1])}:
        run.out.write_bytes(whole[:length])
        summary, _, _ = run(rows)
        assert run.out.read_bytes() == whole
        assert (summary.scored, summary.bad, summary.resumed) == (4, 2, whole[:length].count(b"\n"))


def test_only_what_is_missing_is_scored_again(run, stand_in):
    rows = [row(number) for number in range(5)]
    run(rows)
    run.out.write_bytes(b"".join(run.out.read_bytes().splitlines(keepends=True)[:3]))
    stand_in.scored.clear()
    run(rows)
    assert stand_in.scored == ["r3", "r4"]


def test_end_while_the_note_of_the_configuration_is_written_is_resumed(run):
    run([row(1), row(2)])
    note = run.out.with_name("out.jsonl.resume")
    note.with_name(note.name + ".new").write_text('{"thi')
    run.out.write_bytes(b"")
    note.unlink()
    assert run([row(1), row(2)])[0].complete


def test_unreadable_note_is_named(run):
    run([row(1), row(2)])
    run.out.with_name("out.jsonl.resume").write_text("")
    with pytest.raises(DataError, match=r"out\.jsonl\.resume: not the note of a configuration"):
        run([row(1), row(2)])


@pytest.mark.parametrize(
    "content", [b"precious", b"precious\n", b'{"id": "r1"}\n', b'{"id": "r1"}\n{"id": ', b"[1]\n", b"\0"]
)
def test_file_that_is_not_ours_is_refused_and_left_alone(run, content):
    run.out.write_bytes(content)
    with pytest.raises(DataError, match="not a row that klear score wrote"):
        run([row(1)])
    assert run.out.read_bytes() == content
    assert not run.out.with_name("out.jsonl.resume").exists() or content.endswith(b"\n")


def test_results_that_end_before_the_input_does_are_of_another_job(run):
    run([row(1), row(2)])
    with pytest.raises(DataError, match="holds the result of 'r2' where the input has nothing"):
        run([row(1)])


def test_overwriting_the_input_is_refused_before_anything_is_lost(run):
    run.source.write_bytes(line(row(1)))
    assert main([str(run.source), "--out", str(run.source), "--overwrite", "--no-progress"]) == 2
    assert run.source.read_bytes() == line(row(1))


def test_second_writer_of_a_file_is_refused(run):
    run.source.write_bytes(line(row(1)))
    first = ResultFile(run.out)
    with pytest.raises(EnvironmentProblem, match="another process is at work"):
        score_file(run.source, run.out, reward_config(None), progress=False)
    first.close()
    assert run([row(1)])[0].complete


def test_full_disk_is_named_with_the_file(tmp_path, monkeypatch):
    file = ResultFile(tmp_path / "out.jsonl")
    with open("/dev/full", "wb") as full:
        monkeypatch.setattr(file, "_descriptor", full.fileno())
        with pytest.raises(DataError, match=r"out\.jsonl: can't be written: No space left"):
            file.append(Score("r1", 1.0, True, None, "graded"), "r1")


def test_slow_row_holds_back_neither_the_others_nor_the_order(run, stand_in):
    stand_in.events["slow"] = threading.Event()
    rows = [row(0, response="slow"), *(row(number) for number in range(1, 60))]
    worker = threading.Thread(target=run, args=[rows], kwargs={"jobs": 2})
    worker.start()
    while len(stand_in.scored) < 59:
        assert worker.is_alive()
    assert run.out.read_bytes() == b""
    stand_in.events["slow"].set()
    worker.join()
    assert [json.loads(text)["id"] for text in run.out.read_text().splitlines()] == [
        f"r{number}" for number in range(60)
    ]


def test_results_are_written_as_soon_as_those_before_them_are(run, stand_in):
    stand_in.events["slow"] = threading.Event()
    worker = threading.Thread(target=run, args=[[row(1), row(2), row(3, response="slow"), row(4)]])
    worker.start()
    while not run.out.exists() or run.out.read_bytes().count(b"\n") < 2:
        assert worker.is_alive()
    stand_in.events["slow"].set()
    worker.join()


def test_memory_does_not_grow_with_the_files(run):
    def peak_bytes(count):
        rows = [row(number, response="x" * 10_000) for number in range(count)]
        run(rows, overwrite=True)
        run.out.write_bytes(b"".join(run.out.read_bytes().splitlines(keepends=True)[: count // 2]))
        del rows
        tracemalloc.start()
        score_file(run.source, run.out, reward_config(None), progress=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(10)
    grown_bytes = peak_bytes(1000) - peak_bytes(500)
    assert grown_bytes < 500 * 2_000  # an id and its place are a few hundred; a row is 10,000 bytes


def test_large_rows_are_not_read_far_ahead(run, stand_in, monkeypatch):
    monkeypatch.setattr(score_file_module, "_AHEAD_BYTES", 1000)
    stand_in.events["slow"] = threading.Event()
    rows = [row(1, response="slow"), row(2, ground_truth="1" * 2000), row(3)]
    worker = threading.Thread(target=run, args=[rows], kwargs={"jobs": 2})
    worker.start()
    while stand_in.scored != ["r2"]:
        assert worker.is_alive()
    stand_in.events["slow"].set()
    worker.join()
    assert stand_in.scored == ["r2", "r1", "r3"]


STRANGE = {
    "binary": (b"\x00\xff\xfe\x80" * 100 + b"\n", "not UTF-8"),
    "NUL": (b"\x00" * 100 + b"\n", "not JSON"),
    "UTF-16": ("{}".encode("utf-16") + b"\n", "not UTF-8"),
    "a response that is not UTF-8": (line(row(2)).replace(b"xx", b"\xff\xff"), "not UTF-8"),
    "deep": (b"[" * 100_000 + b"\n", "nested too deeply"),
    "a huge number": (b"9" * 10_000 + b"\n", "not JSON"),
    "a duplicate id": (line(row(1)), "id 'r1' is already that of line 1"),
    "the same id as a number and as text": (line(row(2, id="7")) + line(row(3, id=7)), "id '7' is already"),
    "an id of another type": (line(row(2, id=1.5)), "neither text nor an integer"),
    "an object as id": (line(row(2, id={"a": 1})), "neither text nor an integer"),
    "CR only": (b"\r\r\r{\n", "not JSON"),
}


@pytest.mark.parametrize(("raw", "message"), STRANGE.values(), ids=STRANGE.keys())
def test_strange_row_is_a_bad_row_and_the_others_are_scored(run, raw, message):
    summary, results, messages = run([row(1), raw, row(99)])
    assert (results[0]["id"], results[-1]["id"], summary.bad) == ("r1", "r99", raw.count(b"\n") - len(results) + 2)
    last = 1 + raw.count(b"\n")
    assert f"{run.source}, line {last}: " in messages and message in messages


def test_blank_lines_count_as_lines_but_not_as_rows(run):
    summary, _, messages = run([b"\n", row(1), b" \t\r\n", b"{\n"])
    assert (summary.rows, summary.scored) == (2, 1)
    assert "line 4: not JSON" in messages


def test_last_row_needs_no_newline(run):
    assert run([line(row(1)), line(row(2)).rstrip()])[0].scored == 2


def test_row_of_10_mib_is_scored_and_a_longer_one_than_allowed_is_a_bad_row(run, monkeypatch):
    large = row(2, response="x" * (10 << 20))
    assert run([row(1), large, row(3)])[0].complete
    monkeypatch.setattr(rows_module, "MAX_LINE_BYTES", 1 << 20)
    _, results, messages = run([row(1), large, row(3)], overwrite=True)
    assert [item["id"] for item in results] == ["r1", "r3"]
    assert "line 2: longer than 1 MiB" in messages


def test_lone_surrogates_go_through(run):
    _, results, _ = run([row(1, id="\ud800", response="\udcff")])
    assert results[0]["id"] == "\ud800"


def test_summary_and_bar_show_the_shares_of_verdicts_and_rows(run):
    summary, _, messages = run([row(1), row(2), row(3), row(4, ground_truth="bad")], progress=True)
    assert summary.line() == "3 of 4 rows scored, 1 correct, 1 bad; 6 tests: AC 50% WA 50%"
    assert "correct 25%, bad 25%; tests AC 50% WA 50%" in messages
    assert "4/4" in messages and "row/s" in messages


def test_bar_that_is_switched_off_leaves_only_messages(run):
    assert run([row(1), row(2)])[2] == ""
