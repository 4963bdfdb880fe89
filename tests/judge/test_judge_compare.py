# SPDX-License-Identifier: Apache-2.0
"""Comparison rules, by hand-made pairs and against a second way to say the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.judge.compare import outputs_match, values_match
from klear_verl.judge.problem import Comparison

RULES: tuple[Comparison, ...] = ("lines", "tokens", "exact", "float")


@pytest.mark.parametrize(
    ("actual", "expected", "rules"),
    [
        ("1 2\n3\n", "1 2\n3", "lines tokens exact float"),
        ("1 2\r\n3\r\n", "1 2\n3", "lines tokens exact float"),
        ("1 2  \n3 \n\n", "1 2\n3", "lines tokens exact float"),
        (" 1 2\n3", "1 2\n3", "lines tokens float"),
        ("1 2\n  3", "1 2\n3", "lines tokens float"),
        ("1  2", "1 2", "lines tokens float"),
        ("a  b", "a b", "tokens float"),
        ("1 2 3", "1 2\n3", "tokens float"),
        ("1\n\n2", "1\n2", "tokens float"),
        ("1.0", "1", "lines float"),
        ("1e2", "100", "lines float"),
        ("0.1000000000000000055", "0.1", "float"),
        ("0.3333333", "0.33333333", "float"),
        ("1000000.5", "1000000", "float"),
        ("1000002", "1000000", ""),
        ("nan", "nan", "lines tokens exact float"),
        ("nan", "1", ""),
        ("NaN 1", "nan 1.0", ""),
        ("sNaN", "1", ""),
        ("inf", "1e999", ""),
        ("Yes", "YES", ""),
        ("", "", "lines tokens exact float"),
        ("\n\n", "", "lines tokens exact float"),
        ("", "0", ""),
        ("1 2", "1", ""),
        ("1\f2", "1\n2", "tokens float"),
        ("9" * 5000, "9" * 5000 + ".0", "lines"),
        ("1e999999999", "2e999999999", ""),
    ],
)
def test_pair_matches_under_exactly_these_rules(actual: str, expected: str, rules: str) -> None:
    assert " ".join(rule for rule in RULES if outputs_match(actual, expected, rule)) == rules


@given(st.text())
def test_every_output_matches_itself(text: str) -> None:
    assert all(outputs_match(text, text, rule) for rule in RULES)


@given(st.lists(st.text("ab 1.", max_size=6), max_size=5))
def test_crlf_and_trailing_white_space_never_decide(lines: list[str]) -> None:
    plain, dirty = "\n".join(lines), "\r\n".join(line + " \t" for line in lines) + "\r\n \r\n"
    assert all(outputs_match(dirty, plain, rule) for rule in RULES)


@given(st.text("ab12 \n.", max_size=12), st.text("ab12 \n.", max_size=12))
def test_exact_implies_lines_and_tokens_implies_float(one: str, other: str) -> None:
    holds = {rule: outputs_match(one, other, rule) for rule in RULES}
    assert holds["exact"] <= holds["lines"]
    assert holds["tokens"] <= holds["float"]


@given(st.text("ab12.e-_ \n", max_size=12), st.text("ab12.e-_ \n", max_size=12), st.sampled_from(RULES))
def test_matching_is_symmetric(one: str, other: str, rule: Comparison) -> None:
    assert outputs_match(one, other, rule) == outputs_match(other, one, rule)


@pytest.mark.parametrize(
    ("actual", "expected", "same"),
    [
        ([1, [2]], (1, (2,)), True),
        ({1: 2}, {"1": 2}, True),
        ({None: 2, True: 3}, {"null": 2, "true": 3}, True),
        (1, 1.0, True),
        (0.1 + 0.2, 0.3, False),
        ("1", 1, False),
        (None, False, False),
        ([], {}, False),
        (float("nan"), float("nan"), False),
        ({"a": [1]}, {"a": [1, 2]}, False),
    ],
)
def test_values_match_as_json_values_do(actual: object, expected: object, same: bool) -> None:
    assert values_match(actual, expected) is same
