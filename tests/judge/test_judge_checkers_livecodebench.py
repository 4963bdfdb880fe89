# SPDX-License-Identifier: Apache-2.0
"""The default comparison against LiveCodeBench's rules, said a second time from their description: strip whole and per
line, equal line count, exact match per line or else equal Decimals after splitting at white space.
"""

from __future__ import annotations

from decimal import Decimal, DecimalException

from hypothesis import example, given
from hypothesis import strategies as st

from klear_verl.judge.checkers import outputs_match


def stripped_lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n")]


def decimals(line: str) -> list[Decimal] | None:
    numbers = []
    for word in line.split():
        try:
            numbers.append(Decimal(word))
        except DecimalException:
            return None
    return numbers


def lines_agree(actual: str, expected: str) -> bool:
    if actual == expected:
        return True
    mine, theirs = decimals(actual), decimals(expected)
    if mine is None or theirs is None:
        return False
    try:
        return mine == theirs
    except DecimalException:  # a signalling NaN: LiveCodeBench records an error, which is no pass
        return False


def livecodebench_accepts(actual: str, expected: str) -> bool:
    mine, theirs = stripped_lines(actual), stripped_lines(expected)
    return len(mine) == len(theirs) and all(lines_agree(*pair) for pair in zip(mine, theirs, strict=True))


NUMBERS = ["1", "1.0", "1.00", "01", "+1", "1e0", "10e-1", "1_0", "10", "1e3", "1000", "1_000", "0", "-0", "0.0", "0e9"]
ODD = ["Infinity", "inf", "-inf", "NaN", "nan", "sNaN", "0x10", "16", "\u0661", "\uff11", "1e999999999", "10e999999998"]
WORDS = ["a", "A", "Case", "#1:", "\udcff", "\0", "1,", "--1", "1e", "_1", ".5", "0.5", "5.", "."]
SPACES = [
    " ",
    "  ",
    "\t",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\f",
    "\v",
    "\x1c",
    "\x85",
    "\u00a0",
    "\u2028",
    "\u3000",
    "\ufeff",
]

token = st.sampled_from(NUMBERS + ODD + WORDS)
text = st.lists(token | st.sampled_from(SPACES), max_size=9).map("".join)


@given(text, text)
@example("", "\n")
@example("", "0")
@example("1\n\n1", "1\n1")
def test_pair_of_outputs_is_accepted_exactly_where_livecodebench_accepts_it(actual: str, expected: str) -> None:
    assert outputs_match(actual, expected, "lines") == livecodebench_accepts(actual, expected)


@given(st.lists(st.lists(token, min_size=1, max_size=3), min_size=1, max_size=3), st.data())
def test_rewritten_output_is_accepted_exactly_where_livecodebench_accepts_it(
    content: list[list[str]], data: st.DataObject
) -> None:
    """Independent texts seldom agree: here the second is the first with other spaces and some other numbers."""
    expected = "\n".join(" ".join(line) for line in content)
    swaps = st.one_of(st.none(), token)
    spaced, edge = st.sampled_from([" ", "  ", "\t", " \r"]), st.sampled_from(["", " ", "\r"])
    lines = [data.draw(spaced).join(data.draw(swaps) or word for word in line) for line in content]
    actual = "\n".join(data.draw(edge) + line + data.draw(edge) for line in lines)
    assert outputs_match(actual, expected, "lines") == livecodebench_accepts(actual, expected)


@given(st.text(), st.text())
def test_any_texts_are_accepted_exactly_where_livecodebench_accepts_them(actual: str, expected: str) -> None:
    assert outputs_match(actual, expected, "lines") == livecodebench_accepts(actual, expected)


@given(st.decimals(allow_nan=False), st.decimals(allow_nan=False))
def test_numbers_are_accepted_exactly_where_livecodebench_accepts_them(actual: Decimal, expected: Decimal) -> None:
    for one, other in ((actual, expected), (actual, actual.normalize()), (actual, f"{actual}0")):
        assert outputs_match(str(one), str(other), "lines") == livecodebench_accepts(str(one), str(other))
