# SPDX-License-Identifier: Apache-2.0
"""An evaluation generates and grades exactly what is missing, in the face of every interruption."""

import json
from pathlib import Path

import pytest

from klear_verl.errors import DataError
from klear_verl.evaluation.preflight import plan
from klear_verl.evaluation.runner import evaluate


def run(settings, engine, grader):
    return evaluate(settings, plan(settings), engine, grader)


def lines(settings, name="responses.jsonl", model="a"):
    path = Path(settings.out) / model / "sums" / name
    return [json.loads(line) for line in path.read_text().splitlines()]


def comparable(result):
    return {model: figures for model, figures in result.items() if model != "meta"}


def test_each_model_is_loaded_once_and_every_sample_is_recorded(config, echo_engine, parity_grader):
    engine = echo_engine()
    result = run(config(), engine, parity_grader())
    assert engine.loaded == ["a", "b"]
    assert sorted(row["id"] for row in lines(config())) == [f"sums/{i}/{j}" for i in range(3) for j in range(2)]
    assert set(result) == {"a", "b", "meta"}
    assert json.loads((Path(config().out) / "result.json").read_text()) == json.loads(json.dumps(result))


def test_scores_belong_to_the_responses_with_their_id(config, echo_engine, parity_grader):
    run(config(), echo_engine(), parity_grader())
    even = {row["id"]: int(row["response"].split()[1]) % 2 == 0 for row in lines(config())}
    assert {row["id"]: row["acc"] for row in lines(config(), "scores.jsonl")} == even


def test_the_engine_is_closed_before_grading_begins(config, echo_engine, parity_grader):
    engine, grader = echo_engine(), parity_grader()
    inner = grader.score_many
    grader.score_many = lambda *arguments: iter([*inner(*arguments)]) if not engine.open else pytest.fail("still open")
    run(config(), engine, grader)


def test_an_engine_that_dies_leaves_what_it_finished_and_is_closed(config, echo_engine, parity_grader):
    engine, grader = echo_engine(fail_after=4), parity_grader()
    with pytest.raises(RuntimeError, match="the engine died"):
        run(config(), engine, grader)
    assert len(lines(config())) == 4
    assert not engine.open
    assert grader.asked == []


@pytest.mark.parametrize("fail_after", [0, 1, 5, 6, 7, 11])
def test_a_resumed_evaluation_repeats_no_sample_and_ends_as_an_uninterrupted_one(
    config, echo_engine, parity_grader, tmp_path, fail_after
):
    whole = run(config(out=str(tmp_path / "whole")), echo_engine(), parity_grader())
    first, second = echo_engine(fail_after=fail_after), echo_engine()
    with pytest.raises(RuntimeError):
        run(config(), first, parity_grader())
    resumed = run(config(), second, parity_grader())
    assert len(first.seeds) + len(second.seeds) == 12
    assert comparable(resumed) == comparable(whole)


def test_a_line_cut_by_a_kill_is_generated_again(config, echo_engine, parity_grader):
    run(config(), echo_engine(), parity_grader())
    path = Path(config().out) / "a" / "sums" / "responses.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    engine = echo_engine()
    run(config(), engine, parity_grader())
    assert len(engine.seeds) == 1
    assert len(lines(config())) == 6


def test_a_finished_evaluation_starts_no_engine_and_grades_nothing(config, echo_engine, parity_grader):
    first = run(config(), echo_engine(), parity_grader())
    engine, grader = echo_engine(fail_after=0), parity_grader()
    assert comparable(run(config(), engine, grader)) == comparable(first)
    assert engine.loaded == []
    assert grader.asked == []


def test_ungraded_samples_are_counted_and_graded_again_by_the_next_run(config, echo_engine, parity_grader):
    result = run(config(), echo_engine(), parity_grader({"sums/1/0"}))
    assert result["a"]["sums"]["ungraded"] == 1
    grader = parity_grader()
    result = run(config(), echo_engine(), grader)
    assert grader.asked == ["sums/1/0"] * 2  # of models a and b
    assert result["a"]["sums"]["ungraded"] == 0
    assert len(lines(config(), "scores.jsonl")) == 6


def test_raising_n_adds_samples_to_those_that_are_there(config, echo_engine, parity_grader):
    run(config(), echo_engine(), parity_grader())
    engine = echo_engine()
    more = config(benchmarks=[{**config().benchmarks[0].model_dump(), "n": 3}])
    result = run(more, engine, parity_grader())
    assert len(engine.seeds) == 6  # 3 problems, 2 models
    assert result["a"]["sums"]["n"] == 3


def test_max_problems_leaves_out_rows_of_an_earlier_larger_run(config, echo_engine, parity_grader):
    run(config(), echo_engine(), parity_grader())
    fewer = config(benchmarks=[{**config().benchmarks[0].model_dump(), "max_problems": 1}])
    assert run(fewer, echo_engine(fail_after=0), parity_grader())["a"]["sums"]["problems"] == 1


def test_a_row_that_is_there_twice_is_named(config, echo_engine, parity_grader):
    run(config(), echo_engine(), parity_grader())
    path = Path(config().out) / "a" / "sums" / "responses.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match=r"responses\.jsonl:7: .* is there twice"):
        run(config(), echo_engine(), parity_grader())


def test_a_row_without_a_usable_id_is_named(config, echo_engine, parity_grader):
    run(config(), echo_engine(), parity_grader())
    path = Path(config().out) / "a" / "sums" / "responses.jsonl"
    path.write_text(path.read_text() + '{"id": "sums"}\n')
    with pytest.raises(DataError, match=r"responses\.jsonl:7: no id"):
        run(config(), echo_engine(), parity_grader())


def test_an_unreadable_ground_truth_is_found_before_the_engine(config, write_jsonl, row):
    path = write_jsonl(
        [row(), row(data_source="coder1_longcot", reward_model={"ground_truth": "not JSON"})], "code.jsonl"
    )
    with pytest.raises(DataError, match=r"code\.jsonl, line 2: "):
        plan(config(benchmarks=[{"name": "code", "data": str(path)}]))
