# SPDX-License-Identifier: Apache-2.0
"""A ground truth is held to its schema: a key that is not in it is refused by name, never ignored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.errors import DataError
from klear_verl.judge import Problem, problem_from_ground_truth

COMMON = {"timeout": 2, "max_test_cases": 3, "comparison": "exact"}
CASE = {"input": "1", "output": "2", "testtype": "stdin"}
# Each with all keys that docs/concepts/judge.md lists for it.
PUBLISHED: dict[str, dict[str, Any]] = {
    "standard input and output": {"inputs": ["1"], "outputs": ["2"], **COMMON},
    "calls": {"inputs": ["1"], "outputs": ["2"], "fn_name": "f", **COMMON},
    "functional": {"functional": "assert f()", **COMMON},
    "pytest": {"pytest": "def test_f(): assert f()", **COMMON},
    "LiveCodeBench": {
        "question_title": "Double",
        "question_content": "Double it.",
        "platform": "atcoder",
        "question_id": "abc1_a",
        "contest_id": "abc1",
        "contest_date": "2025-01-01T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps([CASE]),
        "private_test_cases": json.dumps([CASE]),
        "metadata": "{}",
        **COMMON,
    },
    "HumanEval": {
        "task_id": "HumanEval/0",
        "prompt": "def f():\n",
        "canonical_solution": "    return 1\n",
        "test": "def check(candidate):\n    assert candidate()\n",
        "entry_point": "f",
        **COMMON,
    },
    "MBPP": {
        "task_id": 11,
        "text": "Write f.",
        "code": "def f(): return 1",
        "test_setup_code": "",
        "test_list": ["assert f()"],
        "challenge_test_list": [],
        **COMMON,
    },
    "sanitized MBPP": {
        "source_file": "a.json",
        "task_id": 11,
        "prompt": "Write f.",
        "code": "def f(): return 1",
        "test_imports": [],
        "test_list": ["assert f()"],
        **COMMON,
    },
}
SCHEMAS = {
    name: set(truth)
    | {
        "calls": set(),
        "standard input and output": {"fn_name"},
        "MBPP": set(PUBLISHED["sanitized MBPP"]),
        "sanitized MBPP": set(PUBLISHED["MBPP"]),
    }.get(name, set())
    for name, truth in PUBLISHED.items()
}
every_kind = pytest.mark.parametrize("kind", PUBLISHED)


def read(truth: Any) -> Problem:
    return problem_from_ground_truth(truth, problem_id="p1")


@every_kind
def test_every_listed_key_is_accepted(kind: str) -> None:
    problem = read(PUBLISHED[kind])
    assert (problem.time_limit_s, problem.max_tests, problem.comparison) == (2, 3, "exact")


@every_kind
@given(data=st.data())
def test_any_key_outside_the_schema_is_refused_by_name(kind: str, data: st.DataObject) -> None:
    near = st.sampled_from(sorted(SCHEMAS[kind])).map(lambda key: key + "s")
    others = st.sampled_from(sorted(set().union(*SCHEMAS.values()) | {"checker", "time_limit", "entry_point"}))
    key = data.draw((st.text() | near | others).filter(lambda key: key not in SCHEMAS[kind]))
    value = data.draw(st.just("x") | st.booleans() | st.integers() | st.lists(st.integers(), max_size=2))
    with pytest.raises(DataError, match=r"problem p1: (unknown key|exactly one of)") as caught:
        read({**PUBLISHED[kind], key: value})
    assert repr(key)[:80] in str(caught.value) or "exactly one of" in str(caught.value)
    if key < "\ud800":  # what JSON can hold
        with pytest.raises(DataError):
            read(json.dumps({**PUBLISHED[kind], key: value}))


@pytest.mark.parametrize(
    ("kind", "key", "said"),
    [
        (
            "calls",
            "checker",
            "unknown key 'checker' in a ground truth with inputs and outputs; known: inputs, outputs, fn_name",
        ),
        ("calls", "func_name", "did you mean 'fn_name'"),
        ("functional", "timeouts", "did you mean 'timeout'"),
        ("pytest", "fn_name", "unknown key 'fn_name' in a ground truth with pytest"),
        ("HumanEval", "plus_input", "unknown key 'plus_input' in a ground truth with test;"),
    ],
)
def test_message_names_the_key_its_kind_and_the_nearest_that_is_known(kind: str, key: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read({**PUBLISHED[kind], key: 1})
    assert "extra_info" in caught.value.remedy


@every_kind
def test_key_of_another_kind_without_a_value_is_a_column_that_other_rows_have(kind: str) -> None:
    columns = dict.fromkeys(set().union(*SCHEMAS.values()))
    assert read({**columns, **PUBLISHED[kind]}) == read(PUBLISHED[kind])


def test_unknown_key_is_refused_even_without_a_value() -> None:
    with pytest.raises(DataError, match="unknown key 'checker'"):
        read({**PUBLISHED["calls"], "checker": None})


@given(key=st.text().filter(lambda key: key not in CASE))
def test_unknown_key_of_a_livecodebench_case_is_refused_by_name(key: str) -> None:
    with pytest.raises(DataError, match=r"public_test_cases\[0\]: unknown key"):
        read({**PUBLISHED["LiveCodeBench"], "public_test_cases": [{**CASE, key: 1}]})
