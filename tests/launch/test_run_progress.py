# SPDX-License-Identifier: Apache-2.0
"""A run's progress line: what it takes from the run's output, and what it shows of it."""

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.launch import progress
from klear_verl.launch.progress import RunProgress, metrics_text
from klear_verl.utils.progress import announce


def line_on(stream, total=15):
    return RunProgress("math_rl", total, stream=stream)


def shown(*lines, total=15):
    """What a person sees, line by line, where the output is no terminal."""
    line = line_on(io.StringIO(), total)
    for text in lines:
        line.feed(text)
    return line.stream.getvalue().splitlines()


def test_an_announcement_from_any_process_is_shown(capsys):
    announce("starting Ray")
    text = capsys.readouterr().out.strip()
    assert shown(f"(TaskRunner pid=12) {text}") == ["[math_rl 0:00] starting Ray"]


def test_a_step_shows_number_total_and_the_metrics_it_has():
    text = "(pid=3) step:4 - actor/grad_norm:0.51234 - critic/score/mean:-0.25 - timing_s/step:6.04"
    assert shown(text) == ["[math_rl 0:00] step 4/15  reward -0.250  grad norm 0.512  s/step 6.0"]


def test_numpys_way_of_printing_a_number_is_read():
    assert "reward +0.500" in shown("step:1 - critic/score/mean:np.float64(0.5)")[0]


def test_without_a_known_total_only_the_number_is_shown():
    assert "step 4  loss 2.0000" in shown("step:4 - train/loss:2.0", total=None)[0]


def test_ungraded_responses_are_shown_only_if_there_are_any():
    assert "UNGRADED" not in metrics_text({"klear/ungraded": 0.0, "klear/acc": 1.0})
    assert "UNGRADED 3" in metrics_text({"klear/ungraded": 3.0})


def test_the_reward_of_all_responses_is_shown_rather_than_that_of_the_chosen_ones():
    shown_text = metrics_text({"critic/score/mean": 0.9, "klear/reward": 0.25})
    assert shown_text == "reward +0.250"


def test_a_step_in_which_nothing_trained_says_so():
    assert "NO SIGNAL" in metrics_text({"klear/skipped_steps": 1.0})
    assert "NO SIGNAL" not in metrics_text({"klear/skipped_steps": 0.0})


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_metric_that_is_not_finite_is_shown_as_it_is(value):
    assert f"loss {value}" in shown(f"step:1 - train/loss:{value}")[0]


def test_a_line_about_something_else_shows_nothing():
    assert shown("INFO loading weights", "", "Training Progress:  10%|█", "step: 4 of many") == []


def test_steps_are_counted_even_while_they_are_not_shown():
    line = line_on(io.StringIO())
    for step in (1, 2, 3):
        line.feed(f"step:{step} - train/loss:1.0")
    assert line.done == 3
    assert len(line.stream.getvalue().splitlines()) == 1  # without a terminal at most one in five seconds


def test_the_last_step_is_always_shown():
    assert "step 2/2" in shown("step:1 - train/loss:1.0", "step:2 - train/loss:1.0", total=2)[-1]


def test_a_late_line_of_an_earlier_step_does_not_count_back():
    line = line_on(io.StringIO())
    line.feed("step:5 - train/loss:1.0")
    line.feed("step:4 - val/loss:1.0")
    assert line.done == 5


@pytest.mark.parametrize(
    "text",
    [
        "step:5 - note:...",
        "step:5 - ip:10.0.0.1",
        "step:5 - a:1e b:-.e5 c:1.2.3",
        f"step:{'9' * 5000} - a:1",
        "step:5 - ",
    ],
)
def test_odd_values_do_not_end_the_run_that_prints_them(text):
    shown(text)


@given(st.text(max_size=60))
def test_no_line_of_output_can_raise(text):
    shown(text, f"step:1 - {text}", f"step:{text}", f"{progress.MARK}{text}")


@given(st.floats(), st.sampled_from([name for name, _, _ in progress.SHOWN if name != "klear/ungraded"]))
def test_every_float_as_python_prints_it_is_read_back(value, name):
    line = line_on(io.StringIO())
    line.feed(f"step:1 - {name}:{value!r}")
    label, form = next((label, form) for metric, label, form in progress.SHOWN if metric == name)
    assert f"{label} {form.format(value)}"[:150] in line.stream.getvalue() or math.isnan(value)
