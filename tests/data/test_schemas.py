# SPDX-License-Identifier: Apache-2.0
"""What a row must hold, and that every command says the same of the same bad row."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.data.rows import Row, good_row, read_rows
from klear_verl.data.schemas import SCORE_COLUMNS, ScoreRow, score_rows, sft_row, training_row
from klear_verl.errors import DataError
from klear_verl.evaluation.benchmark import read_benchmark
from klear_verl.evaluation.config import BenchmarkConfig
from klear_verl.launch.preflight.data import check_rl_data
from klear_verl.reward.config import RewardConfig
from klear_verl.reward.references import ReferenceCheck
from klear_verl.scoring.score_file import score_file
from tests.data.row_files import FORMATS, place, write_rows
from tests.launch.preflight_samples import rl_view

SOURCE, CODE = "math_longcot_math_verify", "coder1_longcot"
PROMPT = [{"role": "user", "content": "2 + 2 = ?"}]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def references() -> Iterator[ReferenceCheck]:
    with ReferenceCheck(RewardConfig()) as check:
        yield check


def complaint(raises: Callable[[], Any]) -> str:
    with pytest.raises(DataError) as caught:
        raises()
    assert caught.value.remedy
    return caught.value.what


def of_preflight(folder: Path, format: str, row: dict[str, Any]) -> str:
    file = write_rows(folder, format, [row])
    view = rl_view({"data.train_files": str(file), "data.val_files": str(file)})
    return complaint(lambda: check_rl_data(view, RewardConfig(), None)).removeprefix(place(file, 0))


def of_evaluation(folder: Path, format: str, row: dict[str, Any]) -> str:
    file = write_rows(folder, format, [row])
    benchmark = BenchmarkConfig(name="bench", data=str(file))
    with ReferenceCheck(RewardConfig()) as references:
        return complaint(lambda: read_benchmark(benchmark, RewardConfig(), references.check)).removeprefix(
            place(file, 0)
        )


def of_score(folder: Path, format: str, row: dict[str, Any]) -> str:
    """What `klear score` prints of a response to the row."""
    model = row["reward_model"]
    scored = {"id": "r", "response": "<think></think>4", "data_source": row["data_source"]}
    scored |= {"ground_truth": model["ground_truth"]} | (
        {"extra_info": row["extra_info"]} if "extra_info" in row else {}
    )
    file = write_rows(folder, format, [scored])
    messages = io.StringIO()
    score_file(file, folder / f"{format}.out", RewardConfig(), messages=messages, progress=False)
    return messages.getvalue().partition("\n  remedy")[0].removeprefix(place(file, 0))


def of_manager(row: dict[str, Any]) -> str:
    """What the reward manager says of a sample with the row's columns."""
    from klear_verl.reward.manager import row_request
    from klear_verl.reward.scorer import Scorer

    with Scorer(RewardConfig()) as scorer:
        return complaint(lambda: scorer.score(row_request({**row, "uid": "u"}, "<think></think>4"))).removeprefix(
            "row 'u'"
        )


def math(**changes: Any) -> dict[str, Any]:
    return {"prompt": PROMPT, "data_source": SOURCE, "reward_model": {"ground_truth": "4"}, **changes}


def truth(value: Any, source: str = SOURCE) -> dict[str, Any]:
    return math(data_source=source, reward_model={"ground_truth": value})


BAD = {
    "a truth value": truth(True),
    "a blank": truth(" "),
    "a list": truth(["4"]),
    "an object for math": truth({"answer": "4"}),
    "no source": math(data_source=None),
    "a number as source": math(data_source=3),
    "an unknown source": math(data_source="math_longcot_math_verfy"),
    "a list as extra_info": math(extra_info=[1]),
    "tests that are not JSON": truth("{", CODE),
    "tests without outputs": truth(json.dumps({"inputs": ["1"]}), CODE),
    "tests of unequal numbers": truth(json.dumps({"inputs": ["1"], "outputs": []}), CODE),
    "a number for code": truth(4, CODE),
    "an object with unequal numbers": truth({"inputs": ["1"], "outputs": ["1", "2"]}, CODE),
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("row", BAD.values(), ids=BAD.keys())
def test_preflight_evaluation_score_and_manager_say_the_same_of_a_bad_row(tmp_path, monkeypatch, format, row):
    monkeypatch.setattr("klear_verl.reward.scorer.start_judge", lambda *_: MagicMock())  # no program gets that far
    said = of_preflight(tmp_path, format, row)
    assert said.startswith(": ")
    assert of_evaluation(tmp_path, format, row) == said
    assert of_score(tmp_path, format, row) == said
    assert of_manager(row) == said


@pytest.mark.parametrize("row", [truth("####"), truth("\\frac{")], ids=["no mathematics", "half a fraction"])
def test_a_reference_without_a_reading_is_found_by_the_checks_before_a_start(tmp_path, row):
    said = of_preflight(tmp_path, "jsonl", row)
    assert "can't be graded against" in said
    assert of_evaluation(tmp_path, "jsonl", row) == said


@given(value=JSON, source=st.sampled_from([SOURCE, CODE]))
def test_whatever_a_ground_truth_is_the_three_formats_are_refused_alike_or_read_alike(
    tmp_path_factory, references, value, source
):
    folder = tmp_path_factory.mktemp("truth")
    outcomes = []
    for format in FORMATS:
        try:
            file = write_rows(folder, format, [truth(value, source)])
        except Exception:  # Arrow has no type for it: then no Parquet file holds it either
            assert format == "parquet"
            continue
        (row,) = read_rows(file)
        try:
            outcomes.append(_without_nulls(training_row(good_row(row), references.check).ground_truth))
        except DataError as error:
            # Messages end in the value itself, to which Arrow may have added keys.
            outcomes.append(error.what.removeprefix(place(file, 0)).partition(", got ")[0])
    assert all(outcome == outcomes[0] for outcome in outcomes)


def _without_nulls(value: Any) -> Any:
    """An empty object comes back from Parquet as none at all."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("2 + 2", "prompt is text, not a list of messages"),
        (None, "prompt is null, not a list of messages"),
        ([], "prompt is an empty list"),
        ([{"role": "user"}], "prompt[0] is not an object with role and content"),
        (["2 + 2"], "prompt[0] is not an object with role and content"),
        ([{"role": "human", "content": "x"}], "prompt[0].role is 'human', none of system, user, assistant, tool"),
        ([*PROMPT, {"role": "user", "content": 4}], "prompt[1].content is a number, not text"),
    ],
)
def test_preflight_and_evaluation_say_the_same_of_a_bad_prompt(tmp_path, prompt, said):
    row = math(prompt=prompt)
    assert of_preflight(tmp_path, "jsonl", row) == of_evaluation(tmp_path, "jsonl", row) == f": {said}"


def test_tests_with_objects_are_refused_where_arrow_has_added_keys(tmp_path):
    def call(argument: dict[str, int]) -> dict[str, Any]:
        return truth({"fn_name": "f", "inputs": [[argument]], "outputs": [[1]]}, CODE)

    file = write_rows(tmp_path, "parquet", [call({"a": 1}), call({"b": 2})])
    first = good_row(next(read_rows(file)))
    assert first.values["reward_model"]["ground_truth"]["inputs"] == [[{"a": 1, "b": None}]]  # not what was written
    for format in FORMATS:  # verl reads JSON files through Arrow too
        assert "the inputs of the ground truth hold objects" in of_preflight(tmp_path, format, call({"a": 1}))


def test_tests_with_objects_are_scored_where_nothing_has_touched_them(tmp_path):
    tests = {"fn_name": "f", "inputs": [[{"a": 1}]], "outputs": [[1]]}
    row = {"id": 1, "data_source": CODE, "response": "", "ground_truth": tests}
    (found,) = score_rows(read_rows(write_rows(tmp_path, "jsonl", [row]), SCORE_COLUMNS))
    assert isinstance(found, ScoreRow) and found.ground_truth == tests
    (refused,) = score_rows(read_rows(write_rows(tmp_path, "parquet", [row]), SCORE_COLUMNS))
    assert isinstance(refused, DataError) and "hold objects" in refused.what


@pytest.mark.parametrize("format", FORMATS)
def test_an_id_that_was_there_before_is_named_with_both_places(tmp_path, format):
    row = {"data_source": SOURCE, "response": "", "ground_truth": "4"}
    rows = [{"id": "1", **row}, {"id": "2", **row}, {"id": "1", **row}]
    file = write_rows(tmp_path, format, rows)
    first = place(file, 0).removeprefix(f"{file}, ")
    *_, last = score_rows(read_rows(file, SCORE_COLUMNS))
    assert isinstance(last, DataError)
    assert last.what == f"{place(file, 2)}: id '1' is already that of {first}"


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (PROMPT, "has no assistant message with text"),
        ([*PROMPT, {"role": "assistant", "content": " \n"}], "has no assistant message with text"),
        ([*PROMPT, {"role": "assistant", "content": None}], "messages[1].content is null"),
        ([], "is an empty list"),
    ],
)
def test_a_conversation_without_an_answer_teaches_nothing(messages, said):
    row = Row(Path("sft.parquet"), "row", 7, {"messages": messages}, 0)
    assert complaint(lambda: sft_row(row)).startswith("sft.parquet, row 7 (from 0): messages")
    assert said in complaint(lambda: sft_row(row))


def test_a_conversation_with_an_answer_is_taken_whatever_else_its_messages_carry():
    answer = {"role": "assistant", "content": "4", "tool_calls": None}
    row = Row(Path("sft.parquet"), "row", 0, {"messages": [*PROMPT, answer]}, 0)
    assert sft_row(row).messages == [*PROMPT, answer]
