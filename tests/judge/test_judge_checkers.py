# SPDX-License-Identifier: Apache-2.0
"""Comparison rules, by hand-made pairs and by what holds for all of them; LiveCodeBench's has a file of its own."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.judge.checkers import outputs_match, values_match
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
        ("1e999999999", "10e999999998", "lines"),
        ("1e99999999999999999999", "1e99999999999999999998", ""),
        ("Infinity", "inf", "lines"),
        ("1_000", "1000", "lines float"),
        ("0x10", "16", ""),
        ("\u0661", "1", "lines float"),
        ("1\u00a02", "1 2", "lines tokens float"),
        ("1\0", "1", ""),
        ("\udcff", "1", ""),
    ],
)
def test_pair_matches_under_exactly_these_rules(actual: str, expected: str, rules: str) -> None:
    assert " ".join(rule for rule in RULES if outputs_match(actual, expected, rule)) == rules


MEBIBYTE = 1 << 20


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ("1 " * (8 * MEBIBYTE), "1.0 1"),
        ("1\n" * (8 * MEBIBYTE), "1.0\n1"),
        ("\n" * (16 * MEBIBYTE), "1"),
        ("9" * (16 * MEBIBYTE), "9"),
        ("9" * (16 * MEBIBYTE), "1e16777216"),
        ("1." + "0" * (16 * MEBIBYTE) + "1", "2"),
        ("1e" + "9" * (16 * MEBIBYTE), "1e9"),
    ],
    ids=["tokens", "lines", "empty lines", "digits", "a power of ten", "decimals", "an exponent"],
)
def test_output_of_16_mib_is_compared_in_seconds_and_builds_no_more_than_a_few_copies(
    actual: str, expected: str, rule: Comparison
) -> None:
    started = time.process_time()
    assert not outputs_match(actual, expected, rule)
    assert time.process_time() - started < 5
    tracemalloc.start()
    outputs_match(actual, expected, rule)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 8 * len(actual)  # str.split would build 60 bytes for each token


@pytest.mark.parametrize("rule", RULES)
def test_long_lists_of_equal_lines_that_differ_in_white_space_match_in_seconds(rule: Comparison) -> None:
    lines = MEBIBYTE // 4
    started = time.process_time()
    assert outputs_match("12 \r\n" * lines, "12\n" * lines, rule)
    assert time.process_time() - started < 5


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
        ([(1, 2)], [[1, 2]], True),
        ({1: 2}, {"1": 2}, True),
        ({None: 2, True: 3}, {"null": 2, "true": 3}, True),
        ({1.5: 2, float("inf"): 3}, {"1.5": 2, "Infinity": 3}, True),
        ({(1, 2): 3}, {"[1, 2]": 3}, False),
        ({b"1": 2}, {"1": 2}, False),
        ({10**5000: 1}, {"1": 1}, False),
        ({1: 2, "1": 2}, {"1": 2}, False),
        ({"a": (1,)}, {"a": [1]}, True),
        (1, 1.0, True),
        (True, 1, True),
        (10**400, 1e300, False),
        (0.1 + 0.2, 0.3, False),
        ("1", 1, False),
        (None, False, False),
        ([], {}, False),
        ({1, 2}, [1, 2], False),
        (float("nan"), float("nan"), False),
        ({"a": [1]}, {"a": [1, 2]}, False),
    ],
)
def test_values_match_as_json_values_do(actual: object, expected: object, same: bool) -> None:
    assert values_match(actual, expected) is same


def test_values_nested_beyond_recursion_do_not_match() -> None:
    one: Any = 1
    other: Any = 2
    for _ in range(100_000):
        one, other = [one], (other,)
    assert not values_match(one, other)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(plain)
def test_every_value_matches_itself_with_tuples_for_lists(value: Any) -> None:
    def as_tuples(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: as_tuples(item) for key, item in part.items()}
        return tuple(map(as_tuples, part)) if isinstance(part, list) else part

    assert values_match(as_tuples(value), value)
    assert not values_match([value], value)
