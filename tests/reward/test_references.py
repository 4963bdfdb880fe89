# SPDX-License-Identifier: Apache-2.0
"""Properties of the one rule for references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.errors import DataError
from klear_verl.reward.config import reward_config
from klear_verl.reward.math.worker import grade
from klear_verl.reward.references import ReferenceCheck, code_reference, math_reference, reference_shape

NO_MATH_REFERENCE = [None, True, False, "", " \n", ["4"], {"answer": 4}, float("nan"), float("inf"), np.bool_(True)]
NO_CODE_REFERENCE = [None, True, 4, "", "not json", "[]", {}, {"inputs": ["1"]}, {"inputs": ["1"], "outputs": []}]


@pytest.fixture(scope="module")
def references():
    with ReferenceCheck(reward_config({"math": {"cpu_s": 0.5}})) as check:
        yield check


@pytest.mark.parametrize("truth", NO_MATH_REFERENCE)
def test_what_is_no_math_reference_is_refused_by_scorer_and_check_alike(scorer, references, math_request, truth):
    with pytest.raises(DataError, match=r"row 'm': the ground truth of a math row"):
        scorer.score(math_request("<think></think>4", ground_truth=truth))
    with pytest.raises(DataError, match=r"row 'm': the ground truth of a math row"):
        scorer.check(math_request("", ground_truth=truth))
    with pytest.raises(DataError, match=r"^a file, row 7: "):
        references.check("math", truth, None, "a file, row 7")


@pytest.mark.parametrize("truth", NO_CODE_REFERENCE)
def test_what_is_no_code_reference_is_refused_by_scorer_and_check_alike(scorer, references, code_request, truth):
    request = code_request("<think></think>```python\n1\n```", {"inputs": ["1"], "outputs": ["1"]})
    request = type(request)(request.id, request.data_source, request.response, truth)
    with pytest.raises(DataError, match=r"row 'c': "):
        scorer.score(request)
    with pytest.raises(DataError, match=r"row 'c': "):
        scorer.check(request)
    with pytest.raises(DataError, match=r"^a file, row 7: "):
        references.check("apps", truth, None, "a file, row 7")


@pytest.mark.parametrize(
    ("truth", "text"),
    [("4", "4"), (4, "4"), (-4.5, "-4.5"), (np.int64(4), "4"), (np.float64(0.5), "0.5"), (10**30, str(10**30))],
)
def test_text_and_finite_numbers_are_math_references_whatever_library_made_them(truth, text):
    assert math_reference(truth, "row 1") == text


@pytest.mark.parametrize("truth", ["4", "-3.25", "1,234", "\\frac{1}{2}", "\\boxed{(1,2)}", "10\\%", "x^2+1", 4, 4.0])
def test_references_that_can_be_read_pass(references, truth):
    references.check("math", truth, None, "row 1")


@pytest.mark.parametrize("truth", ["\\frac{", "?", "####", "\\boxed{"])
def test_math_references_without_a_reading_are_refused_and_named(references, truth):
    for _ in range(2):  # the second time too: only readable ones are remembered
        with pytest.raises(DataError, match=r"^rows.parquet, row 3: the ground truth .* can't be graded against"):
            references.check("math", truth, None, "rows.parquet, row 3")


def test_math_reference_beyond_all_computing_can_be_compared_as_it_is_written(references):
    references.check("math", "9^{9^{9^{9}}}", None, "row 1")
    assert grade("9^{9^{9^{9}}}", "\\boxed{9^{9^{9^9}}}")[0] == "correct"
    assert grade("9^{9^{9^{9}}}", "\\boxed{9^{9^{9^8}}}")[0] == "wrong"


def test_unknown_data_source_is_refused_with_the_row(references):
    with pytest.raises(DataError, match=r"^row 1: data_source 'gsm9k' is unknown"):
        references.check("gsm9k", "4", None, "row 1")


def test_name_of_a_function_from_extra_info_must_be_a_name(references):
    truth = {"inputs": ["1"], "outputs": ["1"]}
    assert code_reference(truth, {"fn_name": "double"}, "row 1").entry_point == "double"
    with pytest.raises(DataError, match=r"^row 1: extra_info.fn_name is list"):
        code_reference(truth, {"fn_name": ["double"]}, "row 1")


NUMBERS = (
    st.integers(0, 9) | st.integers(0, 10**6) | st.sampled_from(["007", "1,000", "12,34", "0.50", ".5", "1.", "00"])
)
ATOMS = NUMBERS.map(str) | st.sampled_from([*"xynkeiEd", "\\pi", "\\infty", "-1", "50\\%", "3 1/2", "\\text{cm}"])
REFERENCES = st.recursive(
    ATOMS,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "=", ",", "/", ":", " ", "<", "", ", ", "\\cup "]), inner).map(
            "".join
        )
        | st.tuples(inner, inner).map(lambda pair: "\\frac{{{}}}{{{}}}".format(*pair))
        | st.tuples(inner, inner).map(lambda pair: "({}, {}]".format(*pair))
        | st.tuples(inner, st.sampled_from(["^2", "^{12}", "^{-3}", "^n", "^12"])).map("".join)
        | inner.map("\\sqrt{{{}}}".format)
        | inner.map("({})".format)
        | inner.map("\\{{{}, 3\\}}".format)
        | inner.map("\\boxed{{{}}}".format)
    ),
    max_leaves=4,
)


@given(REFERENCES)
def test_references_of_one_shape_can_all_be_read_or_none(gold):
    shape = reference_shape(gold)
    assert reference_shape(shape) == shape
    if shape != gold:
        readable = {grade(text, "\\boxed{0}")[0] in ("correct", "wrong") for text in (gold, shape)}
        assert len(readable) == 1, shape


@pytest.mark.parametrize(
    "gold", ["9^{9^{9}}", "9^9^9", "9^{9}^{9}", "(9^{99})^{99}", "9!", "9^{100}", "2^{n}", "\\binom{9}{3}", "1" * 19]
)
def test_references_whose_numbers_may_matter_are_of_a_shape_of_their_own(gold):
    assert reference_shape(gold) == gold


@pytest.mark.parametrize(
    ("gold", "shape"),
    [
        ("42", "11"),
        ("-3\\sqrt{57}", "-1\\sqrt{11}"),
        ("x^3+20x", "x^3+11x"),
        ("\\frac{70}{0}", "\\frac{11}{0}"),
        ("05", "05"),
    ],
)
def test_numbers_of_as_many_digits_make_one_shape_and_powers_and_zeros_are_kept(gold, shape):
    assert reference_shape(gold) == shape
