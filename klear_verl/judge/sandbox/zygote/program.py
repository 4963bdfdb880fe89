# SPDX-License-Identifier: Apache-2.0
"""Runs a compiled solution, as Python itself would run a script, or to be called.

A process that has come here runs untrusted code: nothing that it says afterwards is more than a value.
"""

from __future__ import annotations

import _sitebuiltins
import atexit
import builtins
import gc
import json
import os
import random
import sys
import threading
import types
from typing import Any

from klear_verl.judge.sandbox.zygote import values, wire

VALUE = 3
"""Descriptor of a call test: the arguments as JSON, replaced by the value that came back."""
RETURNED = b"V"

_prelude: dict[str, Any] = {}


def prepare() -> None:
    """Things done once, in the zygote, for all: what `site` would have added to the builtins, standard streams, and the
    names that solutions of LeetCode's form (`class Solution`) take for granted, as in LiveCodeBench's grader.
    """
    setattr(builtins, "exit", _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)"))  # noqa: B010
    setattr(builtins, "quit", _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)"))  # noqa: B010
    for name in ("typing", "collections", "itertools", "functools", "heapq", "bisect", "math", "string", "operator"):
        module = sys.modules[name]
        public = getattr(module, "__all__", None) or [key for key in vars(module) if not key.startswith("_")]
        _prelude.update({key: getattr(module, key) for key in public if not hasattr(builtins, key)})
    for name in ("bisect", "collections", "copy", "functools", "heapq", "itertools", "json", "math"):
        _prelude[name] = sys.modules[name]
    for name in ("operator", "random", "re", "string", "sys"):
        _prelude[name] = sys.modules[name]
    open_standard_streams()
    sys.argv = ["solution.py"]


def open_standard_streams() -> None:
    """Binds sys.stdin, stdout and stderr (and their dunder twins) to descriptors 0, 1 and 2, in UTF-8: those of the
    zygote are bound to what the zygote was started with.
    """
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        stream.buffer.raw.name = f"<{name}>"
        setattr(sys, f"__{name}__", stream)


def preloaded_module(name: str) -> Any:
    """A module of `prepare`'s, for a test that doesn't import it.

    Raises:
        KeyError: no such module.
    """
    value = _prelude[name]
    if not isinstance(value, types.ModuleType):
        raise KeyError(name)
    return value


def seed(number: int) -> None:
    """Fixes the random state, so that equal programs get equal verdicts."""
    random.seed(number)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(number & 0xFFFFFFFF)


def fresh_module(name: str) -> types.ModuleType:
    """A new module for the solution's globals."""
    module = types.ModuleType(name)
    vars(module).update(__builtins__=builtins, __file__="solution.py")
    # dataclasses, pickle and typing look a class's module up here.
    sys.modules[name] = module
    return module


def module_for_calls() -> types.ModuleType:
    """A fresh module with the names that solutions of LeetCode's form take for granted."""
    module = fresh_module("solution")
    vars(module).update(_prelude)
    return module


def run_script(code: types.CodeType, module: types.ModuleType, reopens: bool) -> int:
    """Runs the solution in `module`; returns the exit status.

    Args:
        reopens: the program opens files, so that some may be left to flush.
    """
    stdout = sys.stdout
    status = 0
    try:
        exec(code, vars(module))
    except SystemExit as error:
        status = _exit_status(error)
    except BaseException:
        status = 1
        _show_exception()
    # What Py_FinalizeEx does, without tearing down the interpreter. What needs no doing is not touched: each page of
    # memory that a forked process writes to is copied.
    if len(threading._active) > 1:  # type: ignore[attr-defined]
        threading._shutdown()  # type: ignore[attr-defined]
    if atexit._ncallbacks():
        atexit._run_exitfuncs()
    if reopens:
        # Files that the program left open flush when they are collected: open(1, "w").
        vars(module).clear()
        gc.collect()
    status = _flush(stdout, status)
    return status if sys.stdout is stdout else _flush(sys.stdout, status)


def _flush(stream: Any, status: int) -> int:
    try:
        if stream is not None and not stream.closed:
            stream.flush()
    except (OSError, ValueError, AttributeError):
        return status or 120  # as Python reports it
    return status


def run_call(code: types.CodeType, module: types.ModuleType, entry_point: str) -> int:
    """Calls the solution's `entry_point` with the arguments in VALUE and leaves the encoded result there."""
    try:
        # Read first: the size is known, and the solution has not run yet.
        arguments = json.loads(os.pread(VALUE, os.fstat(VALUE).st_size, 0))
        exec(code, vars(module))
        result = values.encode(_resolve(module, entry_point)(*arguments))
        os.ftruncate(VALUE, 0)
        _write_all(VALUE, RETURNED + result)
    except BaseException:
        # SystemExit too: no test is passed by leaving.
        _show_exception()
        return 1
    return 0


def run_remote(code: types.CodeType, module: types.ModuleType) -> int:
    """Lets a tester in another process use what the solution defines, until it hangs up."""
    try:
        exec(code, vars(module))
    except BaseException:
        _show_exception()
        return 1
    wire.serve(module)
    return 0


def _exit_status(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _show_exception() -> None:
    sys.__excepthook__(*sys.exc_info())
    sys.stderr.flush()


def _resolve(module: types.ModuleType, entry_point: str) -> Any:
    solution = getattr(module, "Solution", None)
    if isinstance(solution, type) and hasattr(solution, entry_point):
        return getattr(solution(), entry_point)
    return getattr(module, entry_point)


def _write_all(fd: int, data: bytes) -> None:
    """Writes from the beginning: the descriptor's position may be anywhere."""
    written = 0
    while written < len(data):
        written += os.pwrite(fd, memoryview(data)[written:], written)
