# SPDX-License-Identifier: Apache-2.0
"""LiveCodeBench records are read, packed or not; a hostile pickle is refused before any of it is run."""

from __future__ import annotations

import base64
import json
import pickle
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.errors import DataError
from klear_verl.judge import CallTest, Problem, StdioTest, problem_from_ground_truth
from klear_verl.judge.formats.pairs import unpack_text, unpickle_text


def read(truth: Any) -> Problem:
    return problem_from_ground_truth(truth, problem_id="p1")


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def case(given: str, wanted: str, kind: str = "stdin") -> dict[str, str]:
    return {"input": given, "output": wanted, "testtype": kind}


RECORD = {
    "question_title": "Double",
    "platform": "atcoder",
    "question_id": "abc1_a",
    "starter_code": "",
    "public_test_cases": json.dumps([case("1\n", "2\n")]),
    "private_test_cases": packed(pickle.dumps(json.dumps([case("2\n", "4\n")]))),
    "metadata": "{}",
}
CALLS = {
    **RECORD,
    "starter_code": "class Solution:\n    def f(self, x: List[int], y: str) -> int:\n        ",
    "public_test_cases": json.dumps([case('[1, 2]\n"a"', "[3]", "functional")]),
    "private_test_cases": "[]",
    "metadata": json.dumps({"func_name": "f"}),
}


def test_public_and_packed_private_tests_are_read_in_this_order() -> None:
    assert read(RECORD).tests == (StdioTest(input="1\n", output="2\n"), StdioTest(input="2\n", output="4\n"))
    assert read(json.dumps(RECORD)) == read(RECORD)


def test_private_tests_may_be_plain_json_or_lists() -> None:
    for private in ([case("2\n", "4\n")], json.dumps([case("2\n", "4\n")])):
        assert read({**RECORD, "private_test_cases": private}) == read(RECORD)


def test_record_with_a_function_name_is_called_with_one_json_argument_a_line() -> None:
    problem = read(CALLS)
    assert problem.entry_point == "f"
    assert problem.tests == (CallTest(args=[[1, 2], "a"], expected=[3]),)


def test_arguments_and_results_are_taken_as_they_are_written() -> None:
    # prime-code rows wrap results in lists and mean integers by the keys of a dict; LiveCodeBench does neither.
    problem = read({**CALLS, "public_test_cases": [case('{"1": 2}', "[3]", "functional")]})
    assert problem.tests == (CallTest(args=[{"1": 2}], expected=[3], alternatives=()),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"public_test_cases": "[]", "private_test_cases": "[]"}, "no tests"),
        ({"public_test_cases": "[{"}, "public_test_cases: not JSON"),
        ({"public_test_cases": [7]}, r"public_test_cases\[0\] is of type int"),
        ({"public_test_cases": [{"input": "1"}]}, r"public_test_cases\[0\].output is of type NoneType"),
        ({"public_test_cases": [case("1", "2", "interactive")]}, "testtype is 'interactive'"),
        ({"public_test_cases": [case("1", "2", "functional")]}, "no func_name"),
        ({"private_test_cases": {"input": "1"}}, "private_test_cases is of type dict"),
        ({"private_test_cases": "!!"}, "neither a JSON list nor packed tests"),
        ({"private_test_cases": base64.b64encode(b"plain").decode()}, "neither a JSON list nor packed tests"),
        ({"private_test_cases": packed(b"plain")}, "neither a JSON list nor packed tests"),
        ({"private_test_cases": RECORD["private_test_cases"][:40]}, "cut short|neither"),
        ({"private_test_cases": packed(pickle.dumps("{}"))}, "private_test_cases is of type dict"),
        ({"metadata": "{"}, "metadata: not JSON"),
        ({"metadata": [1]}, "metadata is of type list"),
        ({"metadata": {"func_name": "f g"}}, "metadata.func_name is 'f g', not the name"),
        ({"metadata": {"func_name": "f"}}, r"public_test_cases\[0\].output|private_test_cases"),
    ],
)
def test_unusable_record_is_named(changes: dict[str, Any], message: str) -> None:
    record = {**RECORD, **changes}
    if "func_name" in str(changes.get("metadata")):
        record["public_test_cases"] = [case("1", "not JSON", "functional")]
    with pytest.raises(DataError, match=f"problem p1: .*({message})"):
        read(record)


@given(st.text(), st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_text_pickled_by_any_protocol_comes_back(text: str, protocol: int) -> None:
    assert unpickle_text(pickle.dumps(text, protocol)) == text


class Evil:
    def __init__(self, *call: Any):
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


def fail() -> None:
    pytest.fail("the pickle was run")


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Evil(fail)),
        pickle.dumps([Evil(fail), "text"]),
        pickle.dumps(Evil(eval, "fail()"), 0),
        pickle.dumps(["text"]),
        pickle.dumps(b"text"),
        pickle.dumps(None),
        pickle.dumps(("a", "b")),
        pickle.dumps(10**6000),
        b"cklear_verl\nerrors\n.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.",
        b"I" + b"9" * 100_000 + b"\n.",
        b"\x80\x04\x96" + b"\xff" * 7 + b"\x0f.",
        b"\x80\x04\x8d" + b"\xff" * 7 + b"\x0f.",
        b"(" * 1_000_000,
        b"\x80\x04.",
        b"",
    ],
)
def test_pickle_of_anything_but_one_string_is_refused_unrun(data: bytes) -> None:
    with pytest.raises(ValueError):
        unpickle_text(data)


def test_pickle_that_asks_for_a_huge_memo_takes_no_memory() -> None:
    # The unpickler of the standard library sizes its memo by the highest index: 64 GiB for this one.
    data = b"\x80\x04X\x01\x00\x00\x00ar\xff\xff\xff\xff."
    tracemalloc.start()
    assert unpickle_text(data) == "a"
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_packed_text_is_never_unpacked_beyond_the_limit() -> None:
    bomb = packed(pickle.dumps("0" * (64 << 20)))
    assert len(bomb) < 100_000
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(ValueError, match="more than 1048576 bytes"):
        unpack_text(bomb, max_bytes=1 << 20)
    assert time.process_time() - started < 5
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


@given(st.binary() | st.binary().map(pickle.dumps))
def test_any_bytes_give_text_or_value_error(data: bytes) -> None:
    for attempt in (lambda: unpickle_text(data), lambda: unpack_text(packed(data)), lambda: unpack_text(data.hex())):
        try:
            assert isinstance(attempt(), str)
        except ValueError:
            continue


fragments = st.sampled_from(
    [b"\x80\x04", b"\x8c\x01a", b"\x94", b".", b"c", b"os\nsystem\n", b"(", b"R", b"X", b"q\x00", b"V\n"]
)


@given(st.lists(fragments | st.binary(max_size=3)).map(b"".join))
def test_any_opcodes_give_text_or_value_error(data: bytes) -> None:
    try:
        assert isinstance(unpickle_text(data), str)
    except ValueError:
        return
