# SPDX-License-Identifier: Apache-2.0
"""LiveCodeBench records: public and private tests, by standard input or by calls of a method of `class Solution`."""

from __future__ import annotations

from typing import Any

from klear_verl.errors import DataError
from klear_verl.judge.formats.checks import REMEDY, as_list, as_name, json_value, parse_json, type_name
from klear_verl.judge.formats.packed import unpack_text
from klear_verl.judge.formats.pairs import call_arguments
from klear_verl.judge.problem import CallTest, StdioTest, Test

_TEST_TYPES = ("stdin", "functional")


def livecodebench_tests(record: dict[str, Any], where: str) -> tuple[list[Test], str | None]:
    """The tests, public ones first, and the entry point.

    As in LiveCodeBench's own grader, `func_name` of the metadata decides whether they are calls.
    """
    entry_point = _entry_point(record.get("metadata"), f"{where}: metadata")
    tests = [
        _test(case, entry_point, f"{where}: {key}[{index}]")
        for key in ("public_test_cases", "private_test_cases")
        for index, case in enumerate(_cases(record.get(key), f"{where}: {key}"))
    ]
    return tests, entry_point


def _entry_point(metadata: Any, where: str) -> str | None:
    if isinstance(metadata, str):
        metadata = parse_json(metadata or "{}", where)
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise DataError(f"{where} is {type_name(metadata)}, not an object", REMEDY)
    name = metadata.get("func_name")
    return None if name is None else as_name(name, f"{where}.func_name")


def _cases(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str):
        packed = value.strip() and not value.lstrip().startswith("[")
        try:
            text = unpack_text(value.strip()) if packed else value
        except ValueError as error:
            raise DataError(f"{where}: neither a JSON list nor packed tests: {error}", REMEDY) from error
        value = parse_json(text, where)
    return as_list(value, where)


def _test(case: Any, entry_point: str | None, where: str) -> Test:
    if not isinstance(case, dict):
        raise DataError(f"{where} is {type_name(case)}, not an object", REMEDY)
    for key in ("input", "output"):
        if not isinstance(case.get(key), str):
            raise DataError(f"{where}.{key} is {type_name(case.get(key))}, not a string", REMEDY)
    kind = case.get("testtype", "functional" if entry_point else "stdin")
    if kind not in _TEST_TYPES:
        raise DataError(f"{where}.testtype is {kind!r:.80}, neither stdin nor functional", REMEDY)
    if entry_point is not None:
        expected = json_value(case["output"], f"{where}.output")
        return CallTest(args=call_arguments(case["input"], f"{where}.input"), expected=expected)
    if kind == "functional":
        raise DataError(f"{where} is functional, but the metadata have no func_name", REMEDY)
    return StdioTest(input=case["input"], output=case["output"])
