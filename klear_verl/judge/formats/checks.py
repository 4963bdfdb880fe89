# SPDX-License-Identifier: Apache-2.0
"""The checks that all formats share. Each returns the value as the caller needs it, or raises a DataError that names
the place.
"""

from __future__ import annotations

import ast
import json
import keyword
import threading
from typing import Any

from klear_verl.errors import DataError
from klear_verl.judge.sandbox.zygote.values import MAX_DEPTH

REMEDY = "correct the row; docs/concepts/judge.md lists the accepted ground truths"
PARSING_ATTEMPTS = 8

_parsing = threading.Lock()


def type_name(value: Any) -> str:
    """A value's type, as messages call it."""
    return f"of type {type(value).__name__}"


def plain(value: Any) -> Any:
    """An array that a Parquet reader leaves in a row, as a list; anything else as it is."""
    return value.tolist() if hasattr(value, "tolist") else value


def parse_json(text: str, where: str) -> Any:
    """JSON of any kind."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}", REMEDY) from error


def json_value(text: str, where: str) -> Any:
    """JSON that can be an argument or a result: no deeper than the judge carries."""
    value = parse_json(text, where)
    return as_value(value, where) if text.count("[") + text.count("{") > MAX_DEPTH else value


def as_value(value: Any, where: str, depth: int = MAX_DEPTH) -> Any:
    """A copy that is made of JSON's types alone, no deeper than the judge carries."""
    value = plain(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if not isinstance(value, (list, tuple, dict)):
        raise DataError(f"{where}: a value {type_name(value)} is not JSON", REMEDY)
    if depth == 0:
        raise DataError(f"{where} is nested deeper than {MAX_DEPTH}", REMEDY)
    if isinstance(value, dict):
        return {as_value(key, where, 0): as_value(item, where, depth - 1) for key, item in value.items()}
    return [as_value(item, where, depth - 1) for item in value]


def syntax_tree(code: str) -> ast.Module:
    """`ast.parse`, in a process with many threads.

    CPython 3.11 keeps one depth counter for all threads while it builds a tree. A garbage collection in the middle that
    runs Python code (a callback, a finalizer) may let another thread build one meanwhile, and both end with
    "SystemError: AST constructor recursion depth mismatch". The lock keeps our own threads apart; somebody else's
    parsing is met by trying again.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `ast.parse` does, for code that is none.
    """
    for _ in range(PARSING_ATTEMPTS - 1):
        try:
            with _parsing:
                return ast.parse(code)
        except SystemError as error:
            if "recursion depth mismatch" not in str(error):
                raise
    with _parsing:
        return ast.parse(code)


def parse_python(code: str, where: str) -> ast.Module:
    """The syntax tree of test code, which is never run here."""
    try:
        return syntax_tree(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{where} is not Python: {error}", REMEDY) from error


def as_text(value: Any, where: str) -> str:
    """A string, or a list of lines as one."""
    value = plain(value)
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    raise DataError(f"{where} is {type_name(value)}, not a string or a list of strings", REMEDY)


def as_texts(value: Any, where: str) -> list[str]:
    """A list of strings; a string is a list of one."""
    value = plain(value)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where} must be a string or a list of strings", REMEDY)
    return list(texts)


def as_list(value: Any, where: str) -> list[Any]:
    """A list."""
    value = plain(value)
    if not isinstance(value, (list, tuple)):
        raise DataError(f"{where} is {type_name(value)}, not a list", REMEDY)
    return list(value)


def as_name(value: Any, where: str) -> str:
    """The name of a function."""
    if not isinstance(value, str):
        raise DataError(f"{where} is {type_name(value)}, not a string", REMEDY)
    if not value.isidentifier() or keyword.iskeyword(value):
        raise DataError(f"{where} is {value!r:.80}, not the name of a function", REMEDY)
    return value


def as_positive(value: Any, types: tuple[type, ...], where: str) -> Any:
    """A positive finite number of one of `types`, or None."""
    if value is None:
        return None
    if type(value) not in types or not 0 < value < float("inf"):
        raise DataError(f"{where} is {value!r:.80}, not a positive number", REMEDY)
    return value
