# SPDX-License-Identifier: Apache-2.0
"""The progress line: rewritten in place on a terminal, now and then a line in a log."""

import io
import re

from klear_verl.utils import progress
from klear_verl.utils.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self):
        return True


def line_on(stream, **options):
    return ProgressLine("math_rl", stream=stream, **options)


def test_on_a_terminal_the_line_is_rewritten_in_place_until_closed():
    line = line_on(Terminal())
    line.phase("one")
    line.phase("two")
    assert "\n" not in line.stream.getvalue()
    line.close("done")
    assert line.stream.getvalue().endswith("done\n")
    assert line.stream.getvalue().count("\r\x1b[2K") == 3


def test_the_clock_ticks_on_a_terminal_only(monkeypatch):
    for stream, ticks in ((Terminal(), True), (io.StringIO(), False)):
        line = line_on(stream)
        line.phase("waiting")
        line.started -= 65
        before = stream.getvalue()
        line.tick()
        assert ("[math_rl 1:05] waiting" in stream.getvalue()[len(before) :]) is ticks


def test_a_very_long_phase_stays_one_line():
    line = line_on(Terminal())
    line.phase("x" * 5000)
    assert len(line.stream.getvalue()) < 220


def test_counted_work_shows_count_rate_and_what_the_caller_adds():
    line = line_on(io.StringIO(), total=4, unit="row", describe=lambda: "correct 25%")
    with line:
        for _ in range(4):
            line.advance()
    first, last = line.stream.getvalue().splitlines()
    assert "1/4" in first and "4/4" in last and "row/s" in last and last.endswith("correct 25%")


def test_what_was_done_before_counts_but_not_for_the_rate():
    line = line_on(io.StringIO(), total=1000, done=999)
    line.started -= 100.0
    line.advance()
    assert re.search(r"1000/1000, 1\d\d\.\d+s/it", line.stream.getvalue())  # one in 100 s, not a thousand


def test_in_a_log_counted_work_is_shown_now_and_then(monkeypatch):
    monkeypatch.setattr(progress, "LOG_EVERY_S", 3600.0)
    line = line_on(io.StringIO(), total=100)
    for _ in range(50):
        line.advance()
    assert len(line.stream.getvalue().splitlines()) == 1


def test_a_message_stands_on_a_line_of_its_own_above_the_count():
    line = line_on(Terminal(), total=2)
    line.advance()
    line.say("row 1 is bad")
    assert "\r\x1b[2Krow 1 is bad\n" in line.stream.getvalue()
    assert line.stream.getvalue().rsplit("\n", 1)[1].startswith("\r\x1b[2K[math_rl")


def test_a_line_that_is_switched_off_shows_messages_only():
    for stream in (Terminal(), io.StringIO()):
        with line_on(stream, total=2, enabled=False) as line:
            line.advance()
            line.say("row 1 is bad")
        assert stream.getvalue().replace("\r\x1b[2K", "") == "row 1 is bad\n"
