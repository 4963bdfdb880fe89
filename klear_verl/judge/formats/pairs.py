# SPDX-License-Identifier: Apache-2.0
"""Tests that are pairs of an input and an output: standard input and output, or arguments and a result. In lists, in
files, and in LiveCodeBench records.

LiveCodeBench's private tests may be packed: base64(zlib(pickle(text))), which is read without an unpickler. A pickle is
a program, and even one without globals can ask for any amount of memory. The packed tests are a pickle of one string,
so what is accepted here is exactly that: the opcodes that make one string, and nothing else.
"""

from __future__ import annotations

import base64
import pickletools
import re
import stat
import zlib
from pathlib import Path
from typing import Any

from klear_verl.errors import DataError
from klear_verl.judge.formats.checks import (
    REMEDY,
    as_list,
    as_name,
    as_text,
    as_value,
    json_value,
    parse_json,
    type_name,
)
from klear_verl.judge.problem import CallTest, StdioTest, Test
from klear_verl.utils.config import did_you_mean

MAX_FILE_BYTES = 512 << 20
MAX_UNPACKED_BYTES = 512 << 20

_STRINGS = frozenset({"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
_FRAMING = frozenset({"PROTO", "FRAME", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "STOP"})
_TEST_TYPES = ("stdin", "functional")
_CASE_KEYS = ("input", "output", "testtype")
_INTEGER = re.compile(r"-?[0-9]{1,4000}")


def pair_tests(inputs: Any, outputs: Any, entry_point: str | None, where: str) -> list[Test]:
    """One test per pair: a call if there is an entry point, else standard input and output."""
    given, wanted = as_list(inputs, f"{where}: inputs"), as_list(outputs, f"{where}: outputs")
    if len(given) != len(wanted):
        raise DataError(f"{where}: {len(given)} inputs but {len(wanted)} outputs", REMEDY)
    pairs = enumerate(zip(given, wanted, strict=True))
    if entry_point is not None:
        return [
            _call_test(one, other, f"{where}: inputs[{row}]", f"{where}: outputs[{row}]") for row, (one, other) in pairs
        ]
    return [
        StdioTest(input=as_text(one, f"{where}: inputs[{row}]"), output=as_text(other, f"{where}: outputs[{row}]"))
        for row, (one, other) in pairs
    ]


def read_list_file(path: Any, where: str) -> list[Any]:
    """The list in a JSON file.

    The path must be absolute: a relative one means something else in each process that scores.
    """
    if not isinstance(path, str):
        raise DataError(f"{where} is {type_name(path)}, not a path", REMEDY)
    if not Path(path).is_absolute():
        raise DataError(
            f"{where}: {path} is a relative path", "write it in full: the rows are scored in many processes"
        )
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            raise DataError(
                f"{where}: {path} is no regular file of at most {MAX_FILE_BYTES >> 20} MiB", "correct the path"
            )
        text = Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{where}: can't read {path}: {reason}", "correct the path or the file") from error
    return as_list(parse_json(text, f"{where}: {path}"), f"{where}: {path}")


def call_arguments(text: str, where: str) -> list[Any]:
    """The arguments of a call, one JSON value a line."""
    return [json_value(line, where) for line in text.split("\n") if line.strip()]


def _call_test(given: Any, wanted: Any, given_where: str, wanted_where: str) -> CallTest:
    """As verl's prime_code decodes them (reward_score/prime_code/testing_util.py)."""
    args = call_arguments(given, given_where) if isinstance(given, str) else as_value(given, given_where)
    if not isinstance(args, list):
        raise DataError(f"{given_where}: the arguments are {type_name(args)}, not a list", REMEDY)
    expected = json_value(wanted, wanted_where) if isinstance(wanted, str) else as_value(wanted, wanted_where)
    # APPS wraps some expected values in a list and doesn't say which.
    alternatives = (expected[0],) if isinstance(expected, list) and len(expected) == 1 else ()
    return CallTest(args=[_int_keys(arg) for arg in args[:1]] + args[1:], expected=expected, alternatives=alternatives)


def _int_keys(argument: Any) -> Any:
    """JSON has no int keys: where all keys are numbers they were meant as such."""
    if isinstance(argument, dict) and argument and all(_INTEGER.fullmatch(str(key)) for key in argument):
        return {int(key): value for key, value in argument.items()}
    return argument


def livecodebench_tests(record: dict[str, Any], where: str) -> tuple[list[Test], str | None]:
    """The tests, public ones first, and the entry point.

    As in LiveCodeBench's own grader, `func_name` of the metadata decides whether they are calls.
    """
    entry_point = _func_name(record.get("metadata"), f"{where}: metadata")
    tests = [
        _case_test(case, entry_point, f"{where}: {key}[{index}]")
        for key in ("public_test_cases", "private_test_cases")
        for index, case in enumerate(_cases(record.get(key), f"{where}: {key}"))
    ]
    return tests, entry_point


def _func_name(metadata: Any, where: str) -> str | None:
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


def _case_test(case: Any, entry_point: str | None, where: str) -> Test:
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
