# SPDX-License-Identifier: Apache-2.0
"""LiveCodeBench records: public and private tests, by standard input or by calls of a method of `class Solution`.

Private tests may be packed: base64(zlib(pickle(text))), which is read without an unpickler. A pickle is a program, and
even one without globals can ask for any amount of memory. The packed tests are a pickle of one string, so what is
accepted here is exactly that: the opcodes that make one string, and nothing else.
"""

from __future__ import annotations

import base64
import pickletools
import zlib
from typing import Any

from klear_verl.errors import DataError
from klear_verl.judge.formats.checks import REMEDY, as_list, as_name, json_value, parse_json, type_name
from klear_verl.judge.formats.pairs import call_arguments
from klear_verl.judge.problem import CallTest, StdioTest, Test
from klear_verl.utils.config import did_you_mean

MAX_UNPACKED_BYTES = 512 << 20

_STRINGS = frozenset({"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
_FRAMING = frozenset({"PROTO", "FRAME", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "STOP"})
_TEST_TYPES = ("stdin", "functional")
_CASE_KEYS = ("input", "output", "testtype")


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
    for key in case:
        if key not in _CASE_KEYS:
            raise DataError(f"{where}: unknown key {key!r:.80}; {did_you_mean(str(key), _CASE_KEYS)}", REMEDY)
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


def unpack_text(packed: str, max_bytes: int = MAX_UNPACKED_BYTES) -> str:
    """The text in `packed`.

    Raises:
        ValueError: not packed text, or of more than `max_bytes` bytes unpacked.
    """
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(base64.b64decode(packed, validate=True), max_bytes + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(data) > max_bytes:
        raise ValueError(f"more than {max_bytes} bytes when unpacked")
    if not inflater.eof:
        raise ValueError("the compressed data are cut short")
    return unpickle_text(data)


def unpickle_text(data: bytes) -> str:
    """The string of a pickle that is a string.

    Raises:
        ValueError: any other pickle, or no pickle.
    """
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in _STRINGS and not texts:
            texts.append(str(argument))
        elif opcode.name not in _FRAMING:
            raise ValueError(f"a pickle of something other than one string (opcode {opcode.name})")
    if not texts:
        raise ValueError("an empty pickle")
    return texts[0]
