# SPDX-License-Identifier: Apache-2.0
"""Tests that are pairs of an input and an output: standard input and output, or arguments and a result."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

from klear_verl.errors import DataError
from klear_verl.judge.formats.checks import REMEDY, as_list, as_text, as_value, json_value, parse_json, type_name
from klear_verl.judge.problem import CallTest, StdioTest, Test

MAX_FILE_BYTES = 512 << 20

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
