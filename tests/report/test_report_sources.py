# SPDX-License-Identifier: Apache-2.0
"""What a directory is found to hold, and what is said of one that can't be read."""

import json

import pytest

from klear_verl.errors import DataError
from klear_verl.report.sources import discover
from tests.report.sample_runs import evaluation, quickstart, rl_run, run_json, sft_run, write_rows, write_summary


def test_a_quickstart_holds_three_runs_an_evaluation_and_a_summary(tmp_path):
    found = discover([quickstart(tmp_path / "q")])
    assert sorted(run.recipe for run in found.runs) == ["quickstart/code_rl", "quickstart/math_rl", "quickstart/sft"]
    assert len(found.evaluations) == 1
    assert list(found.quickstarts[0].summary.stages) == ["sft", "math_rl", "code_rl"]
    assert len(found.samples) == 9


def test_a_run_directory_itself_is_found(tmp_path):
    assert [run.directory for run in discover([rl_run(tmp_path / "run")]).runs] == [tmp_path / "run"]


def test_runs_two_levels_down_are_found_and_three_are_not(tmp_path):
    rl_run(tmp_path / "a" / "b")
    rl_run(tmp_path / "a" / "b" / "c" / "d")
    assert [run.directory.name for run in discover([tmp_path]).runs] == ["b"]


def test_a_directory_named_twice_is_read_once(tmp_path):
    run = rl_run(tmp_path / "q" / "math_rl")
    assert len(discover([tmp_path / "q", run]).runs) == 1


def test_the_evaluations_own_file_is_preferred_to_the_summary(tmp_path):
    write_summary(tmp_path)
    evaluation(tmp_path / "eval")
    (found,) = discover([tmp_path]).evaluations
    assert found.results["after_sft"]["math"].avg_at_n_ci95 is not None


def test_a_summary_alone_gives_held_out_rates_without_intervals(tmp_path):
    (found,) = discover([write_summary(tmp_path)]).evaluations
    after = found.results["after_code_rl"]
    assert (after["math"].avg_at_n, after["code"].avg_at_n, after["code"].pass_rate) == (0.68, 0.58, 0.76)
    assert after["math"].avg_at_n_ci95 is None


def test_a_bare_verl_run_without_run_json_is_read_and_its_kind_inferred(tmp_path):
    write_rows(tmp_path / "metrics.jsonl", [{"step": 1, "data": {"train/loss": 1.0}}])
    (run,) = discover([tmp_path]).runs
    assert (run.kind, run.info) == ("sft", None)


def test_metrics_of_earlier_attempts_come_first_in_numeric_order(tmp_path):
    for name, step, value in (("metrics.2", 2, 20), ("metrics.10", 3, 30), ("metrics.1", 1, 10), ("metrics", 3, 33)):
        write_rows(tmp_path / f"{name}.jsonl", [{"step": step, "data": {"a": value}}])
    assert discover([tmp_path]).runs[0].metrics.by_name == {"a": {1: 10.0, 2: 20.0, 3: 33.0}}


def test_a_run_that_has_logged_nothing_yet_is_read(tmp_path):
    run_json(tmp_path / "run", status="running", wall_s=None)
    (run,) = discover([tmp_path]).runs
    assert run.metrics.last_step == 0


def test_a_recipe_given_by_path_shows_no_path(tmp_path):
    run_json(tmp_path, recipe="/home/somebody/mine.yaml")
    assert discover([tmp_path]).runs[0].recipe == "mine"


def test_unknown_keys_are_ignored(tmp_path):
    run_json(tmp_path, something_newer=[1])
    assert discover([tmp_path]).runs


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone: no such directory"):
        discover([tmp_path / "gone"])


def test_a_file_instead_of_a_directory_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file: is not a directory"):
        discover([tmp_path / "file"])


def test_an_empty_directory_is_named_with_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"nothing to report.*run\.json.*summary\.json"):
        discover([tmp_path])


@pytest.mark.parametrize("name", ["run.json", "result.json", "summary.json"])
def test_corrupt_json_is_named_with_line_and_column(tmp_path, name):
    (tmp_path / name).write_text('{"a": 1,\n oops}')
    with pytest.raises(DataError, match=rf"{name}:2:2: not JSON"):
        discover([tmp_path])


@pytest.mark.parametrize("name", ["run.json", "result.json", "summary.json"])
def test_json_that_is_not_an_object_is_named(tmp_path, name):
    (tmp_path / name).write_text("[]")
    with pytest.raises(DataError, match=rf"{name}: expected a JSON object"):
        discover([tmp_path])


def test_text_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "run.json").write_bytes(b'{"kind": "\xff"}')
    with pytest.raises(DataError, match=r"run\.json: not UTF-8"):
        discover([tmp_path])


def test_a_bad_value_is_named_with_its_key(tmp_path):
    run_json(tmp_path, status="resting")
    with pytest.raises(DataError, match=r"run\.json: status: "):
        discover([tmp_path])


def test_a_bad_benchmark_result_is_named_with_model_and_key(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"tiny": {"math": {"avg_at_n": "much"}}, "meta": {}}))
    with pytest.raises(DataError, match=r"result\.json: tiny: math\.avg_at_n"):
        discover([tmp_path])


def test_a_broken_config_is_named(tmp_path):
    sft_run(tmp_path)
    (tmp_path / "config.yaml").write_text("a: [1,\n")
    with pytest.raises(DataError, match=r"config\.yaml: not readable as YAML"):
        discover([tmp_path])


def test_a_broken_sample_is_named_with_its_line(tmp_path):
    sft_run(tmp_path)
    (tmp_path / "samples.jsonl").write_text("{}\n{\n")
    with pytest.raises(DataError, match=r"samples\.jsonl:2: not JSON"):
        discover([tmp_path])
