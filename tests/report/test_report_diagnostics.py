# SPDX-License-Identifier: Apache-2.0
"""The pictures of the method's inner workings, and the stacked areas that they are made of."""

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from klear_verl.report import charts
from klear_verl.report.drawing import draw_stack
from klear_verl.report.seeds import band, group
from klear_verl.report.sources import discover
from klear_verl.report.tables import first_last
from klear_verl.reward.score import EXTRA_INFO_KEYS
from klear_verl.trainer.config import GroupsConfig, OverlongConfig
from klear_verl.trainer.rollouts import group_metrics, judge_metrics, select
from tests.report.sample_runs import rl_run, run_json, write_rows

DOCS = Path(__file__).parents[2] / "docs/concepts/diagnostics.md"


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
        (charts.groups, {"klear/groups/trained": 3, "klear/groups/no_signal": 1}, ["trained", "no signal"]),
        (charts.groups, {"klear/masked/overlong": 2, "klear/masked/empty": 1}, ["cut off", "empty"]),
        (charts.groups, {"klear/masked/tokens": 640}, ["masked tokens"]),
        (charts.groups, {"klear/groups/wasted_share": 0.5}, ["wasted (%)"]),
        (charts.positives, {"klear/positives": 3, "actor/positive_lm_loss": 0.2}, ["loss (nats per token)"]),
        (
            charts.clip_regions,
            {"actor/gppo/frac_above_pos": 0.1, "actor/gppo/frac_below_neg": 0.1},
            ["tokens (%)", "ratio high, advantage &gt; 0", "ratio low, advantage &lt; 0"],
        ),
        (charts.clip_regions, {"actor/gppo/grad_share_below_neg": 0.1}, ["gradient (%)"]),
        (charts.clip_regions, {"actor/pg_clipfrac_lower": 0.1}, ["dual clip (% tokens)"]),
        (charts.clipped_entropy, {"actor/gppo/entropy_above_pos": 1.0}, ["entropy (nats)"]),
        (charts.policy, {"actor/ppo_kl": 0.1}, ["KL (nats)"]),
        (
            charts.mismatch,
            {"training/rollout_probs_diff_mean": 1e-7, "training/rollout_probs_diff_std": 1e-7},
            [">difference<", "mean", "standard deviation"],
        ),
        (charts.mismatch, {"training/rollout_probs_diff_max": 1e-3}, ["largest difference"]),
        (charts.mismatch, {"training/rollout_actor_probs_pearson_corr": 0.998}, ["correlation"]),
    ],
)
def test_a_picture_shows_what_was_logged(tmp_path, make, metrics, words):
    chart = make(logged(tmp_path, metrics, metrics))
    assert [word for word in words if word not in chart.svg] == []
    assert make(logged(tmp_path, {"odd/metric": 1.0})) is None


def test_dual_clip_is_not_drawn_while_it_bounds_nothing(tmp_path):
    chart = charts.clip_regions(logged(tmp_path, {"actor/gppo/frac_above_pos": 0.1, "actor/pg_clipfrac_lower": 0}))
    assert "dual clip" not in chart.svg


def test_where_nothing_was_masked_a_sentence_stands_for_the_empty_axes(tmp_path):
    nothing = {"klear/masked/overlong": 0, "klear/masked/tokens": 0}
    chart = charts.groups(logged(tmp_path, {"klear/groups/trained": 3} | nothing))
    assert "No response was masked." in chart.reading
    assert "masked responses" not in chart.svg and "masked tokens" not in chart.svg


def test_rounding_of_a_correlation_of_1_is_not_blown_up(tmp_path):
    name = "training/rollout_actor_probs_pearson_corr"
    assert ">0.990<" in charts.mismatch(logged(tmp_path, {name: 1.0}, {name: 0.99999994}, {name: 1.0000001})).svg


def test_a_correlation_that_falls_stays_on_its_axis(tmp_path):
    name = "training/rollout_actor_probs_pearson_corr"
    assert ">0.5<" in charts.mismatch(logged(tmp_path, {name: 1.0}, {name: 0.45})).svg


def test_skipped_steps_are_told(tmp_path):
    chart = charts.groups(stage_of(rl_run(tmp_path, steps=8, skipped=3)))
    assert "1 of 8 steps had no group with signal and were skipped." in chart.reading
    assert "skipped" not in charts.groups(stage_of(rl_run(tmp_path, steps=8))).reading


def test_a_step_without_clipped_tokens_has_no_entropy_and_no_point(tmp_path):
    rest = {"actor/gppo/entropy_rest": 0.5}
    stage = logged(tmp_path, rest | {"actor/gppo/entropy_above_pos": 1.5}, rest)
    assert stage.runs[0].metrics.get("actor/gppo/entropy_above_pos") == {1: 1.5}
    assert "ratio high" in charts.clipped_entropy(stage).svg


def test_parts_of_a_whole_are_areas_in_one_run_and_lines_where_runs_are_compared(tmp_path):
    runs = [rl_run(tmp_path / name, seed=seed, steps=4) for name, seed in (("a", 0), ("b", 1), ("c", 0))]
    assert "Areas: mean of 2 seeds" in charts.clip_regions(stage_of(*runs[:2])).reading
    compared = charts.clip_regions(stage_of(*runs))
    assert "Areas" not in compared.reading and "a: ratio low, advantage &lt; 0" in compared.svg


def test_data_sources_are_told_apart_where_there_are_several(tmp_path):
    one = {"klear/source/math/reward": 0.5, "klear/source/math/acc": 0.7}
    assert charts.by_source(logged(tmp_path, one)) is None
    both = charts.by_source(logged(tmp_path, one | {"klear/source/code/reward": 0.1, "klear/source/code/acc": 0.2}))
    assert "math" in both.svg and "code" in both.svg and "correct (%)" in both.svg


def per_source(**values):
    """The metrics of two data sources: `code` with these values, `math` with a reward and an accuracy of 0.5."""
    math = dict.fromkeys(("reward", "task_score", "acc", "pass_rate"), 0.5)
    return {
        f"klear/source/{source}/{name}": value
        for source, found in (("math", math), ("code", math | values))
        for name, value in found.items()
    }


def test_scores_before_penalties_and_tests_passed_are_told_apart_by_data_source(tmp_path):
    svg = charts.by_source(logged(tmp_path, per_source(task_score=0.7, pass_rate=0.8))).svg
    assert "mean task score" in svg and "tests passed (%)" in svg


def test_what_would_repeat_reward_or_correctness_of_every_data_source_is_not_drawn_again(tmp_path):
    svg = charts.by_source(logged(tmp_path, per_source())).svg
    assert "mean reward" in svg and "correct (%)" in svg
    assert "mean task score" not in svg and "tests passed (%)" not in svg


def test_the_reward_before_penalties_is_drawn_where_it_is_another(tmp_path):
    penalised = charts.reward(logged(tmp_path, {"klear/reward": 0.5, "klear/task_score": 0.75}))
    assert "before penalties" in penalised.svg and "Before penalties" in penalised.reading
    for step in ({"klear/reward": 0.5, "klear/task_score": 0.5}, {"klear/reward": 0.5}):
        assert "efore penalties" not in (chart := charts.reward(logged(tmp_path, step))).svg + chart.reading


def metrics_of(text):
    """The metrics that a text names, with {a, b} written out; `…` stands for what the code logs there."""
    info = dict.fromkeys(EXTRA_INFO_KEYS, 0.0) | {"is_code": 1.0, "judge_layers": 1.0}
    families = [*judge_metrics([info]), *group_metrics(select([], GroupsConfig(), 1), OverlongConfig())]
    found = set()
    for name in re.findall(r"`((?:actor|klear|training)/[^`]+)`", text):
        parts = [part.split(", ") for part in re.split(r"[{}]", name.replace("{…}", f"{{{', '.join(REGIONS)}}}"))]
        for written in map("".join, product(*parts)):
            found |= {one for one in families if one.startswith(written[:-1])} if written[-1] == "…" else {written}
    return found


REGIONS = ("inside", *charts.REGIONS)


def has_data(stage, title, reading, panels):
    """As `chart`, without the drawing."""
    return any(line.pick(run) for panel in panels for line in panel.lines for run in stage.runs)


def test_the_report_draws_every_metric_of_the_docs_but_those_that_they_say_it_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr(charts, "chart", has_data)
    text = DOCS.read_text(encoding="utf-8")
    (left_out,) = re.findall(r"^\*\*Not drawn\*\*.*?\n\n", text, flags=re.MULTILINE | re.DOTALL)
    named = metrics_of("\n".join(line for line in text.split("\n## ")[0].splitlines() if line.startswith("|")))
    assert len(named) > 50
    not_drawn = set()
    for name in named:
        step = {name.replace("<data_source>", source): 0.5 for source in ("math", "code")}
        if not any(make(logged(tmp_path, step)) for make in charts.RL_CHARTS):
            not_drawn.add(name)
    assert not_drawn == metrics_of(left_out)


def test_the_reward_is_that_of_all_responses_not_of_those_that_trained(tmp_path):
    step = {"klear/reward": 0.75, "critic/score/mean": 0.0}
    assert first_last(logged(tmp_path, step, step).runs[0]) == (0.75, 0.75)


def test_without_ours_it_is_verls(tmp_path):
    assert first_last(logged(tmp_path, {"critic/score/mean": 0.25}).runs[0]) == (0.25, 0.25)
