# SPDX-License-Identifier: Apache-2.0
"""Syntax trees of test code, in a process with many threads."""

from __future__ import annotations

import ast
import threading

ATTEMPTS = 8

_lock = threading.Lock()


def syntax_tree(code: str) -> ast.Module:
    """`ast.parse`, from any thread.

    CPython 3.11 keeps one depth counter for all threads while it builds a tree. A garbage collection in the middle that
    runs Python code (a callback, a finalizer) may let another thread build one meanwhile, and both end with
    "SystemError: AST constructor recursion depth mismatch". The lock keeps our own threads apart; somebody else's
    parsing is met by trying again.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `ast.parse` does, for code that is none.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            with _lock:
                return ast.parse(code)
        except SystemError as error:
            if "recursion depth mismatch" not in str(error):
                raise
    with _lock:
        return ast.parse(code)
