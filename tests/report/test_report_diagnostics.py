# SPDX-License-Identifier: Apache-2.0
"""The pictures of the method's inner workings, and the stacked areas that they are made of."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from sample_runs import rl_run, run_json, write_rows

from klear_verl.report import charts, diagnostics
from klear_verl.report.curves import band, group
from klear_verl.report.panels import draw_stack
from klear_verl.report.sources import discover
from klear_verl.report.tables import first_last


def stage_of(*directories):
    (stage,) = group(discover(directories).runs)
    return stage


def logged(directory, *steps):
    """The stage of a run that logged exactly these metrics, from step 1 on."""
    run_json(directory)
    write_rows(directory / "metrics.jsonl", [{"step": step, "data": data} for step, data in enumerate(steps, start=1)])
    return stage_of(directory)


def polygons(ax):
    """The corners of each polygon of each layer, as ((left, right), (bottom, top))."""
    return [
        [tuple(map(tuple, path.get_extents().get_points().T)) for path in layer.get_paths()] for layer in ax.collections
    ]


def test_layers_lie_on_each_other_and_each_step_is_one_step_wide():
    ax = Figure().subplots()
    lower, upper = band("lower", [{1: 2.0, 2: 2.0}]), band("upper", [{1: 3.0, 2: 3.0}])
    draw_stack(ax, [(lower, "red"), (upper, "blue")])
    assert polygons(ax) == [[((0.5, 2.5), (0.0, 2.0))], [((0.5, 2.5), (2.0, 5.0))]]


def test_a_step_that_logged_nothing_is_a_gap():
    ax = Figure().subplots()
    draw_stack(ax, [(band("x", [{1: 1.0, 2: 1.0, 4: 1.0}]), "red")])
    assert polygons(ax) == [[((0.5, 2.5), (0.0, 1.0)), ((3.5, 4.5), (0.0, 1.0))]]


def test_a_layer_that_one_step_lacks_is_0_there():
    ax = Figure().subplots()
    draw_stack(ax, [(band("x", [{1: 1.0}]), "red"), (band("y", [{1: 1.0, 2: 4.0}]), "blue")])
    (_, second) = polygons(ax)
    assert np.max([top for _, (_, top) in second]) == 4.0


@pytest.mark.parametrize(
    ("make", "metrics", "words"),
    [
        (diagnostics.groups, {"klear/groups/trained": 3, "klear/groups/no_signal": 1}, ["trained", "no signal"]),
        (diagnostics.groups, {"klear/masked/overlong": 2, "klear/masked/empty": 1}, ["cut off", "empty"]),
        (diagnostics.groups, {"klear/groups/wasted_share": 0.5}, ["wasted (%)"]),
        (diagnostics.positives, {"klear/positives": 3, "actor/positive_lm_loss": 0.2}, ["loss (nats per token)"]),
        (
            diagnostics.clip_regions,
            {"actor/gppo/frac_above_pos": 0.1, "actor/gppo/frac_below_neg": 0.1},
            ["tokens (%)", "ratio high, advantage &gt; 0", "ratio low, advantage &lt; 0"],
        ),
        (diagnostics.clip_regions, {"actor/gppo/grad_share_below_neg": 0.1}, ["gradient (%)"]),
        (diagnostics.clip_regions, {"actor/pg_clipfrac_lower": 0.1}, ["dual clip (% tokens)"]),
        (diagnostics.clipped_entropy, {"actor/gppo/entropy_above_pos": 1.0}, ["entropy (nats)"]),
        (diagnostics.policy, {"actor/ppo_kl": 0.1}, ["KL (nats)"]),
        (diagnostics.mismatch, {"training/rollout_probs_diff_mean": 1e-7}, ["mean difference"]),
        (diagnostics.mismatch, {"training/rollout_probs_diff_max": 1e-3}, ["largest difference"]),
    ],
)
def test_a_picture_shows_what_was_logged(tmp_path, make, metrics, words):
    chart = make(logged(tmp_path, metrics, metrics))
    assert [word for word in words if word not in chart.svg] == []
    assert make(logged(tmp_path, {"odd/metric": 1.0})) is None


def test_dual_clip_is_not_drawn_while_it_bounds_nothing(tmp_path):
    chart = diagnostics.clip_regions(logged(tmp_path, {"actor/gppo/frac_above_pos": 0.1, "actor/pg_clipfrac_lower": 0}))
    assert "dual clip" not in chart.svg


def test_where_nothing_was_masked_a_sentence_stands_for_the_empty_axes(tmp_path):
    chart = diagnostics.groups(logged(tmp_path, {"klear/groups/trained": 3, "klear/masked/overlong": 0}))
    assert "No response was masked." in chart.reading and "masked responses" not in chart.svg


def test_skipped_steps_are_told(tmp_path):
    chart = diagnostics.groups(stage_of(rl_run(tmp_path, steps=8, skipped=3)))
    assert "1 of 8 steps had no group with signal and were skipped." in chart.reading
    assert "skipped" not in diagnostics.groups(stage_of(rl_run(tmp_path, steps=8))).reading


def test_a_step_without_clipped_tokens_has_no_entropy_and_no_point(tmp_path):
    rest = {"actor/gppo/entropy_rest": 0.5}
    stage = logged(tmp_path, rest | {"actor/gppo/entropy_above_pos": 1.5}, rest)
    assert stage.runs[0].metrics.get("actor/gppo/entropy_above_pos") == {1: 1.5}
    assert "ratio high" in diagnostics.clipped_entropy(stage).svg


def test_parts_of_a_whole_are_areas_in_one_run_and_lines_where_runs_are_compared(tmp_path):
    runs = [rl_run(tmp_path / name, seed=seed, steps=4) for name, seed in (("a", 0), ("b", 1), ("c", 0))]
    assert "Areas: mean of 2 seeds" in diagnostics.clip_regions(stage_of(*runs[:2])).reading
    compared = diagnostics.clip_regions(stage_of(*runs))
    assert "Areas" not in compared.reading and "a: ratio low, advantage &lt; 0" in compared.svg


def test_data_sources_are_told_apart_where_there_are_several(tmp_path):
    one = {"klear/source/math/reward": 0.5, "klear/source/math/acc": 0.7}
    assert charts.by_source(logged(tmp_path, one)) is None
    both = charts.by_source(logged(tmp_path, one | {"klear/source/code/reward": 0.1, "klear/source/code/acc": 0.2}))
    assert "math" in both.svg and "code" in both.svg and "correct (%)" in both.svg


def test_the_reward_is_that_of_all_responses_not_of_those_that_trained(tmp_path):
    step = {"klear/reward": 0.75, "critic/score/mean": 0.0}
    assert first_last(logged(tmp_path, step, step).runs[0]) == (0.75, 0.75)


def test_without_ours_it_is_verls(tmp_path):
    assert first_last(logged(tmp_path, {"critic/score/mean": 0.25}).runs[0]) == (0.25, 0.25)
