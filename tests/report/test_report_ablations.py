# SPDX-License-Identifier: Apache-2.0
"""Comparisons: which runs count, what the table claims, and what is drawn."""

import json
import re

import pytest

from klear_verl.errors import DataError
from klear_verl.report import comparisons
from klear_verl.report.comparisons import TRAINING, mean_curve
from klear_verl.report.seeds import MeanInterval
from klear_verl.report.sources import discover
from tests.report.page_parser import page
from tests.report.sample_runs import ablation, run_json, write_record, write_rows

ACC = TRAINING["acc"]


def made(directory, values, **changes):
    """An ablation whose runs logged exactly this: arm → seed → step → share of correct responses, trained and held
    out. All runs are finished."""
    arms = {}
    for arm, seeds in values.items():
        runs = {}
        for seed, steps in seeds.items():
            place = directory / "runs" / f"{arm}-seed{seed}"
            run_json(place, seed=seed)
            rows = [
                {"step": step, "data": {"klear/acc": acc, "val-core/m/acc/mean@4": acc}} for step, acc in steps.items()
            ]
            write_rows(place / "metrics.jsonl", rows)
            runs[seed] = {"dir": f"runs/{arm}-seed{seed}", "status": "finished", "detail": None}
        arms[arm] = {"digest": arm, "runs": runs}
    figure = {"show": ["training", "held_out"], "training": "acc"}
    spec = {"title": "T", "recipe": "r", "arms": {arm: {} for arm in values}, "figure": figure, **changes}
    write_record(directory, {"one": {"spec": spec, "arms": arms}})
    return directory


def read(directory):
    (found,) = discover([directory]).ablations
    return found


def test_arms_seeds_and_runs_are_those_of_the_record(tmp_path):
    found = read(ablation(tmp_path, seeds=(3, 4)))
    assert [arm.name for arm in found.arms] == ["gppo", "clip_higher", "cispo"]
    assert [list(arm.finished) for arm in found.arms] == [[3, 4]] * 3
    assert found.arms[1].overrides == ("actor_rollout_ref.actor.policy_loss.loss_mode=vanilla",)


def test_runs_of_an_ablation_are_not_drawn_a_second_time(tmp_path):
    material = discover([ablation(tmp_path, steps=3)])
    assert material.runs == [] and len(material.all_runs) == 9
    labels = page(tmp_path).labels
    assert labels == [
        f"Three losses: {title}"
        for title in ("Reward", "Held-out accuracy", "Gradient norm", "Clip regions", "Entropy of clipped tokens")
    ]


def test_a_run_that_two_ablations_share_is_read_once(tmp_path):
    entry = json.loads((made(tmp_path, {"x": {0: {1: 0.5}}}) / "ablation.json").read_text())["ablations"]["one"]
    write_record(tmp_path, {"one": entry, "two": entry})
    first, second = discover([tmp_path]).ablations
    assert first.arms[0].finished[0] is second.arms[0].finished[0]


def test_a_run_that_has_not_begun_is_listed_and_read_nowhere(tmp_path):
    made(tmp_path, {"x": {0: {1: 0.5}}})
    record = json.loads((tmp_path / "ablation.json").read_text())
    runs = record["ablations"]["one"]["arms"]["x"]["runs"]
    runs["1"] = {"dir": "runs/x-seed1", "status": "waiting", "detail": None}
    write_record(tmp_path, record["ablations"])
    (arm,) = read(tmp_path).arms
    assert [(item.seed, item.status, item.run is None) for item in arm.runs] == [
        (0, "finished", False),
        (1, "waiting", True),
    ]


def test_unfinished_runs_are_an_alarm_and_in_no_mean(tmp_path):
    made(tmp_path, {"x": {0: {1: 0.5}, 1: {1: 0.9}}})
    run_json(tmp_path / "runs" / "x-seed1", seed=1, status="running")
    (arm,) = read(tmp_path).arms
    assert mean_curve(arm, ACC) == {1: MeanInterval(50.0, None, 1)}
    found = page(tmp_path)
    assert "T, x (seed 1) is not finished and counts nowhere (running)." in found.words
    assert "1 unfinished runs (dotted) are in no mean." in found.words


def test_a_failed_run_is_an_alarm_with_its_reason(tmp_path):
    made(tmp_path, {"x": {0: {1: 0.5}}})
    record = json.loads((tmp_path / "ablation.json").read_text())
    record["ablations"]["one"]["arms"]["x"]["runs"]["0"].update(status="failed", detail="MemoryError: no room\nmore")
    write_record(tmp_path, record["ablations"])
    run_json(tmp_path / "runs" / "x-seed0", status="failed")
    assert "T, x (seed 0) is not finished and counts nowhere (failed: MemoryError: no room)." in page(tmp_path).words


def test_a_mean_is_taken_at_the_steps_that_every_seed_logged(tmp_path):
    (arm,) = read(made(tmp_path, {"x": {0: {1: 0.1, 2: 0.2, 3: 0.3}, 1: {1: 0.3, 3: 0.5}}})).arms
    curve = mean_curve(arm, ACC)
    assert list(curve) == [1, 3]
    assert curve[1].mean == pytest.approx(20.0)
    # Standard error 10 of two seeds 20 points apart; t(1) = 12.706.
    assert curve[1].half == pytest.approx(127.062, rel=1e-5)


def test_the_table_by_hand(tmp_path):
    seeds = {"x": (0.50, 0.60, 0.70), "same": (0.52, 0.57, 0.71), "worse": (0.41, 0.50, 0.59)}
    values = {arm: {seed: {0: 0.0, 10: last} for seed, last in enumerate(lasts)} for arm, lasts in seeds.items()}
    table = comparisons.outcome(read(made(tmp_path, values)))
    held_out = [row[:4] for row in table.rows]
    assert table.head[:4] == ["arm", "seeds", "Held-out accuracy (%)", "against x"]
    # x: 60 ± 4.3027 · 10/√3. same - x: 2, -3, 1, mean 0, deviation √7. worse - x: -9, -10, -11.
    assert held_out[0] == ["x", "3", "60.0 ± 24.8", "—"]
    assert held_out[1] == ["same", "3", "60.0 ± 24.5", "+0.0 ± 6.6: no difference shown"]
    assert held_out[2] == ["worse", "3", "50.0 ± 22.4", "−10.0 ± 2.5: lower"]


def test_the_end_of_training_is_the_mean_of_its_last_three_steps(tmp_path):
    table = comparisons.outcome(read(made(tmp_path, {"x": {0: {1: 0.9, 2: 0.1, 3: 0.2, 4: 0.6}}})))
    assert table.head[4] == "Correct responses in training (%)"
    assert table.rows[0][4] == "30.0 (one seed)"


def test_one_seed_is_not_judged(tmp_path):
    found = read(made(tmp_path, {"x": {0: {1: 0.5}}, "y": {0: {1: 0.9}}}))
    assert comparisons.outcome(found).rows[1][3] == "+40.0 (one seed: nothing to judge by)"
    assert [chart.reading.endswith("One seed each: no interval.") for chart in comparisons.charts(found)] == [True] * 2


def test_two_seeds_that_differ_by_the_same_are_not_judged_either(tmp_path):
    found = read(made(tmp_path, {"x": {0: {1: 0.5}, 1: {1: 0.6}}, "y": {0: {1: 0.7}, 1: {1: 0.8}}}))
    assert comparisons.outcome(found).rows[1][3] == "+20.0 ± 0.0: 2 seeds, too few to judge by"


def test_a_curve_of_shares_stays_within_what_a_share_can_be(tmp_path):
    # Held-out 40 and 100 %: the band of two seeds is ± 381 points wide.
    found = read(made(tmp_path, {"x": {0: {1: 0.4, 2: 0.4}, 1: {1: 1.0, 2: 1.0}}}))
    chart = next(chart for chart in comparisons.charts(found) if chart.title.startswith("Held-out"))
    ticks = [
        float(label) for label in re.findall(r'ytick_\d+".*?>(-?[\d.]+)</text>', chart.svg.replace("−", "-"), re.S)
    ]
    assert len(ticks) > 2 and min(ticks) >= 0 and max(ticks) <= 100


def test_an_arm_without_finished_runs_has_no_figures(tmp_path):
    made(tmp_path, {"x": {0: {1: 0.5}}, "y": {0: {1: 0.9}}})
    run_json(tmp_path / "runs" / "y-seed0", status="interrupted")
    assert comparisons.outcome(read(tmp_path)).rows[1] == ["y", "0", "—", "—", "—", "—"]


def test_the_note_counts_the_comparisons(tmp_path):
    assert "these are 4." in comparisons.note(read(ablation(tmp_path, steps=3)))
    assert "these are" not in comparisons.note(read(made(tmp_path / "m", {"x": {0: {1: 0.5}}})))


def test_the_page_tells_what_the_arms_change_and_no_path_of_the_machine(tmp_path):
    words = page(ablation(tmp_path, steps=3)).words
    assert "actor_rollout_ref.actor.policy_loss.loss_mode=vanilla" in words
    assert "actor_rollout_ref.model.path=…/model" in words
    assert "/home/somebody" not in words and str(tmp_path) not in words


def test_a_page_with_ablations_is_sound(tmp_path):
    found = page(ablation(tmp_path, steps=3))
    assert {reference[1:] for reference in found.references} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert "1 ablation · seeds 0, 1, 2" in found.words


def test_what_the_spec_asks_for_is_drawn_in_its_order_and_unknown_names_are_not(tmp_path):
    figure = {"show": ["wasted", "of_the_future", "response_length", "training"], "training": "acc"}
    charts = comparisons.charts(read(ablation(tmp_path, steps=3, figure=figure)))
    assert [chart.title for chart in charts] == ["Generated in vain", "Response length", "Correct responses"]


def test_each_held_out_set_has_its_picture(tmp_path):
    made(tmp_path, {"x": {0: {1: 0.5}}})
    rows = [{"step": 1, "data": {"val-core/a/b/acc/mean@4": 0.5, "val-core/c/reward/mean@2": 0.1}}]
    write_rows(tmp_path / "runs" / "x-seed0" / "metrics.jsonl", rows)
    metrics = comparisons.held_out_metrics(read(tmp_path))
    assert [(metric.title, metric.ylabel) for metric in metrics] == [
        ("Held-out accuracy: a/b", "avg@4 (%)"),
        ("Held-out score: c", "avg@2"),
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("{}", "ablations: Field required"),
        ('{"ablations": {"x": {"arms": {}}}}', "ablations.x.spec: Field required"),
    ],
)
def test_a_damaged_record_is_named(tmp_path, text, complaint):
    (tmp_path / "ablation.json").write_text(text)
    with pytest.raises(DataError, match=r"ablation\.json") as caught:
        discover([tmp_path])
    assert complaint in str(caught.value)
