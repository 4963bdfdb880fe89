# SPDX-License-Identifier: Apache-2.0
"""HumanEval and MBPP records become tests as they are published."""

from __future__ import annotations

from typing import Any

import pytest

from klear_verl.errors import DataError
from klear_verl.judge import AssertTest, Problem, Test, problem_from_ground_truth


def read(truth: Any) -> Problem:
    return problem_from_ground_truth(truth, problem_id="p1")


def outcome(test: Test, solution: str) -> str:
    """Runs a test here, where both sides are ours, as the judge would: after the solution, in its namespace."""
    assert isinstance(test, AssertTest)
    namespace: dict[str, Any] = {}
    exec(solution, namespace)
    try:
        exec(test.code, namespace)
    except Exception as error:  # which one it is, is the outcome that the tests compare
        return type(error).__name__
    return "passed"


HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'import math\n\n\ndef half(x):\n    return x / 2\n\n\ndef f(x):\n    """Doubles x."""\n',
    "canonical_solution": "    return 2 * x\n",
    "test": "METADATA = {}\n\n\ndef check(candidate):\n    assert half(candidate(2)) == math.floor(2.5)\n",
    "entry_point": "f",
}


def test_humaneval_record_is_one_test_that_right_solutions_pass_and_others_fail() -> None:
    (test,) = read(HUMANEVAL).tests
    assert outcome(test, "def f(x): return 2 * x") == "passed"
    assert outcome(test, "def f(x): return x") == "AssertionError"


def test_humaneval_tests_use_the_helpers_of_the_prompt_not_those_of_the_solution() -> None:
    (test,) = read(HUMANEVAL).tests
    assert outcome(test, "def f(x): return None\ndef half(x): return 2") == "TypeError"


def test_humaneval_prompt_in_words_is_left_alone() -> None:
    (test,) = read({**HUMANEVAL, "prompt": "Write f.", "test": "def check(c):\n    assert c(1) == 2"}).tests
    assert isinstance(test, AssertTest) and test.code == "def check(c):\n    assert c(1) == 2\n\ncheck(f)\n"


MBPP = {
    "task_id": 11,
    "text": "Write a function f.",
    "code": "def f(x):\r\n  return 2 * x",
    "test_setup_code": "import math",
    "test_list": ["assert f(1) == 2", "assert f(2) == math.floor(4.5)"],
    "challenge_test_list": ["assert f(-3) == -6"],
}


def test_mbpp_record_has_one_test_for_each_assert_after_the_set_up_code() -> None:
    tests = read(MBPP).tests
    assert [outcome(test, MBPP["code"]) for test in tests] == ["passed"] * 3
    assert [outcome(test, "def f(x): return abs(2 * x)") for test in tests] == ["passed"] * 2 + ["AssertionError"]


def test_sanitized_mbpp_record_gives_its_imports_as_a_list() -> None:
    (test,) = read({"prompt": "…", "test_imports": ["import math"], "test_list": ["assert math.pi > f()"]}).tests
    assert test == AssertTest(code="import math\nassert math.pi > f()")


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ({**HUMANEVAL, "entry_point": None}, "entry_point is of type NoneType"),
        ({**HUMANEVAL, "entry_point": "f)\nprint(1"}, "not the name of a function"),
        ({**HUMANEVAL, "entry_point": "None"}, "not the name of a function"),
        ({**HUMANEVAL, "test": 3}, "test is of type int"),
        ({**HUMANEVAL, "test": "def"}, "test is not Python"),
        ({**HUMANEVAL, "test": "assert f(1)"}, "no function check"),
        ({**MBPP, "test_list": [], "challenge_test_list": None}, "no tests in test_list"),
        ({**MBPP, "test_list": ["assert f(1", "assert f(2)"]}, r"test_list\[0\] is not Python"),
        ({**MBPP, "challenge_test_list": ["f"]}, r"challenge_test_list\[0\] has no assert"),
        ({**MBPP, "test_list": [7]}, "test_list must be"),
        ({**MBPP, "test_setup_code": "import"}, "set-up code is not Python"),
    ],
)
def test_unusable_record_is_named(truth: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"problem p1: .*{message}"):
        read(truth)
