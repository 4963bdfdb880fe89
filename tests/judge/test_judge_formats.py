# SPDX-License-Identifier: Apache-2.0
"""Ground truths of inputs and outputs, and of test code, become tests; what is wrong with one is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klear_verl.errors import DataError
from klear_verl.judge import AssertTest, CallTest, Problem, PytestTest, StdioTest, content_id, problem_from_ground_truth


def read(truth: Any, **more: Any) -> Problem:
    return problem_from_ground_truth(truth, problem_id="p1", **more)


def test_dict_and_json_text_read_alike() -> None:
    truth = {"inputs": ["1\n"], "outputs": ["2\n"]}
    assert read(truth) == read(json.dumps(truth))
    assert read(truth).tests == (StdioTest(input="1\n", output="2\n"),)


def test_lists_of_lines_are_joined_by_newlines() -> None:
    assert read({"inputs": [["1", "2"], []], "outputs": [["3"], ""]}).tests == (
        StdioTest(input="1\n2", output="3"),
        StdioTest(input="", output=""),
    )


def test_fn_name_makes_call_tests_with_one_json_argument_a_line() -> None:
    problem = read({"inputs": ['[1, 2]\n"x"', ""], "outputs": ["true", "null"], "fn_name": "f"})
    assert problem.entry_point == "f"
    assert problem.tests == (CallTest(args=[[1, 2], "x"], expected=True), CallTest(args=[], expected=None))


@pytest.mark.parametrize(("given", "wanted"), [([1, 2], [3]), ("1\n2", "[3]")])
def test_apps_argument_lists_are_taken_and_a_wrapped_result_may_be_unwrapped(given: Any, wanted: Any) -> None:
    problem = read({"inputs": [given], "outputs": [wanted], "fn_name": "f"})
    assert problem.tests == (CallTest(args=[1, 2], expected=[3], alternatives=(3,)),)


@pytest.mark.parametrize(
    ("given", "argument"),
    [('{"1": 2}', {1: 2}), ('{"-1": 2}', {-1: 2}), ('{"--1": 2}', {"--1": 2}), ('{"1": 2, "a": 3}', {"1": 2, "a": 3})],
)
def test_keys_of_a_first_argument_are_integers_where_all_look_like_it(given: str, argument: dict[Any, int]) -> None:
    assert read({"inputs": [given], "outputs": ["1"], "fn_name": "f"}).tests[0] == CallTest(args=[argument], expected=1)


def test_null_fn_name_means_standard_input() -> None:
    assert isinstance(read({"inputs": ["1"], "outputs": ["1"], "fn_name": None}).tests[0], StdioTest)


def test_fn_name_may_come_from_extra_info() -> None:
    assert read({"inputs": ["1"], "outputs": ["1"]}, extra_info={"fn_name": "g"}).entry_point == "g"


def test_functional_text_is_one_test_and_a_list_one_each() -> None:
    assert read({"functional": "assert f() == 1"}).tests == (AssertTest(code="assert f() == 1"),)
    assert len(read({"functional": ["assert f()", "assert g()"]}).tests) == 2


def test_pytest_module_is_one_test() -> None:
    code = "class TestF:\n    def test_f(self): pass"
    assert read({"pytest": code}).tests == (PytestTest(code=code),)


def test_arrays_of_a_parquet_reader_are_lists() -> None:
    numpy = pytest.importorskip("numpy")
    truth = {"inputs": numpy.array(["1", "2"], dtype=object), "outputs": numpy.array(["3", "4"], dtype=object)}
    assert read(truth).tests[1] == StdioTest(input="2", output="4")
    arguments = [numpy.array([1, 2])]
    assert read({"inputs": [arguments], "outputs": ["3"], "fn_name": "f"}).tests == (
        CallTest(args=[[1, 2]], expected=3),
    )


def test_comparison_may_be_chosen_by_the_row() -> None:
    assert read({"inputs": ["1"], "outputs": ["1"]}).comparison == "lines"
    assert read({"inputs": ["1"], "outputs": ["1"], "comparison": "float"}).comparison == "float"


def test_files_are_read(tmp_path: Path) -> None:
    for name, value in (("i", ["1", "2"]), ("o", ["3", "4"])):
        (tmp_path / name).write_text(json.dumps(value))
    truth = {"inputs_file": str(tmp_path / "i"), "outputs_file": str(tmp_path / "o")}
    assert read(truth).tests[1] == StdioTest(input="2", output="4")


def test_timeout_and_test_limit_are_taken_in_any_size() -> None:
    problem = read({"inputs": ["1"], "outputs": ["1"], "timeout": 120, "max_test_cases": 5})
    assert (problem.time_limit_s, problem.max_tests) == (120, 5)


DEEP = "[" * 101 + "]" * 101


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ("{", "the ground truth: not JSON"),
        ("[" * 100_000, "the ground truth: not JSON"),
        ("[1]", "of type list"),
        (3, "of type int"),
        ({}, "exactly one of"),
        ({"inputs": ["1"], "outputs": ["1"], "functional": "assert 1"}, "inputs and outputs, and functional"),
        ({"inputs": ["1"]}, "outputs is missing"),
        ({"outputs": ["1"]}, "inputs is missing"),
        ({"inputs": [], "outputs": []}, "no tests"),
        ({"functional": []}, "no tests"),
        ({"inputs": ["1", "2"], "outputs": ["1"]}, "2 inputs but 1 outputs"),
        ({"inputs": "1", "outputs": ["1"]}, "inputs is of type str"),
        ({"inputs": ["1"], "outputs": [7]}, r"outputs\[0\] is of type int"),
        ({"inputs": ["1", [1]], "outputs": ["1", "1"]}, r"inputs\[1\] is of type list"),
        ({"inputs": ["1"], "outputs": [None]}, r"outputs\[0\] is of type NoneType"),
        ({"inputs": ["x"], "outputs": ["1"], "fn_name": "f"}, r"inputs\[0\]: not JSON"),
        ({"inputs": ["1"], "outputs": ["x"], "fn_name": "f"}, r"outputs\[0\]: not JSON"),
        ({"inputs": ["1"], "outputs": ["9" * 5000], "fn_name": "f"}, r"outputs\[0\]: not JSON"),
        ({"inputs": ["1"], "outputs": [DEEP], "fn_name": "f"}, r"outputs\[0\] is nested deeper than 100"),
        ({"inputs": [[{1, 2}]], "outputs": ["1"], "fn_name": "f"}, r"inputs\[0\]: a value of type set"),
        ({"inputs": [3], "outputs": ["1"], "fn_name": "f"}, "arguments are of type int"),
        ({"inputs": ["1"], "outputs": ["1"], "fn_name": 3}, "fn_name is of type int"),
        ({"inputs": ["1"], "outputs": ["1"], "fn_name": "f()"}, "not the name of a function"),
        ({"inputs": ["1"], "outputs": ["1"], "timeout": -1}, "timeout is -1"),
        ({"inputs": ["1"], "outputs": ["1"], "timeout": "6"}, "timeout is '6'"),
        ({"inputs": ["1"], "outputs": ["1"], "timeout": True}, "timeout is True"),
        ({"inputs": ["1"], "outputs": ["1"], "timeout": float("inf")}, "timeout is inf"),
        ({"inputs": ["1"], "outputs": ["1"], "max_test_cases": 0}, "max_test_cases is 0"),
        ({"inputs": ["1"], "outputs": ["1"], "max_test_cases": 2.5}, "max_test_cases is 2.5"),
        ({"inputs": ["1"], "outputs": ["1"], "comparison": "words"}, "comparison is 'words', none of lines"),
        ({"functional": [1]}, "functional must be"),
        ({"functional": "def"}, "not Python"),
        ({"functional": ["assert f()", ""]}, r"functional\[1\] has no assert"),
        ({"pytest": "x = 1"}, "no test_"),
        ({"pytest": "class TestF:\n    def check(self): assert 0"}, "no test_"),
        ({"pytest": ["x"]}, "pytest is of type list"),
    ],
)
def test_unusable_ground_truth_is_named(truth: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(truth)
    assert "problem p1" in str(caught.value) and caught.value.remedy


def test_unreadable_file_is_named_with_the_row(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text('["1"]')
    bad.write_bytes(b"\xff")
    text = tmp_path / "text.json"
    text.write_text('"1"')
    cases = {
        "/nonexistent/i": "can't read /nonexistent/i: No such file",
        str(tmp_path): "no regular file",
        "/dev/zero": "no regular file",
        str(bad): "can't read .*'utf-8' codec",
        str(text): "of type str, not a list",
        "good.json": "good.json is a relative path",
        "/\0": "can't read",
    }
    for path, message in cases.items():
        with pytest.raises(DataError, match=f"problem p1: inputs_file: .*{message}"):
            read({"inputs_file": path, "outputs_file": str(good)})
    with pytest.raises(DataError, match="outputs_file is missing"):
        read({"inputs_file": str(good)})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = "inputs outputs fn_name functional pytest timeout max_test_cases comparison inputs_file outputs_file test prompt"
KEYS += " entry_point test_list test_setup_code test_imports public_test_cases private_test_cases metadata"
codes = st.sampled_from(
    ["assert f()", "def check(candidate): pass", "f", "def test_f(): pass", "def f(", '"a"', "[1]", "{}"]
)
values = json_values | codes | st.lists(codes, max_size=2)


@settings(max_examples=300)
@given(st.text() | st.dictionaries(st.sampled_from(KEYS.split()), values, max_size=4))
def test_any_ground_truth_gives_a_problem_or_data_error(truth: Any) -> None:
    try:
        assert read(truth).tests
    except DataError:
        return


def test_content_id_is_the_same_for_text_dict_and_key_order() -> None:
    truth = {"inputs": ["1"], "outputs": ["\u00e9"]}
    ids = {content_id(truth), content_id(json.dumps(truth, indent=2)), content_id(dict(reversed(truth.items())))}
    assert len(ids) == 1
    assert content_id({"inputs": ["1"], "outputs": ["e"]}) not in ids


@pytest.mark.parametrize("truth", [{1: 2, "a": 3}, {"inputs": {1}}, {"inputs": [object()]}])
def test_content_that_is_not_json_has_no_id(truth: Any) -> None:
    with pytest.raises(DataError, match="not JSON"):
        content_id(truth)


def test_content_id_never_changes() -> None:
    # sha256 of {"inputs":["1"],"outputs":["2"]}, by sha256sum
    assert content_id({"outputs": ["2"], "inputs": ["1"]}) == "c8fd9c4f926f281bf2d587ff9780fb72"
