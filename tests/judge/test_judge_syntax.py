# SPDX-License-Identifier: Apache-2.0
"""Syntax trees that many threads ask for at once."""

import ast
import gc
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from klear_verl.judge.formats import checks
from klear_verl.judge.formats.checks import syntax_tree

SOURCE = "def check(candidate):\n" + f"    assert candidate({list(range(50))}) == 1\n" * 50


@pytest.fixture
def collecting_often():
    """Garbage collections that let other threads go on, in the middle of whatever allocates."""
    before = gc.get_threshold()
    gc.callbacks.append(let_others_run)
    gc.set_threshold(200)
    yield
    gc.set_threshold(*before)
    gc.callbacks.remove(let_others_run)


def let_others_run(*_):
    time.sleep(0.0001)


def test_threads_get_their_trees_whatever_the_garbage_collector_lets_run_in_between(collecting_often):
    with ThreadPoolExecutor(6) as pool:
        trees = list(pool.map(syntax_tree, [SOURCE] * 24))
    assert [len(tree.body[0].body) for tree in trees] == [50] * 24


def test_another_threads_parsing_that_takes_no_lock_is_met_by_trying_again(monkeypatch):
    failures = [SystemError("AST constructor recursion depth mismatch (before=45, after=39)")] * 3

    def disturbed(code):
        if failures:
            raise failures.pop()
        return ast.parse(code)

    monkeypatch.setattr(checks, "ast", SimpleNamespace(parse=disturbed))
    assert isinstance(syntax_tree("x = 1"), ast.Module)


@pytest.mark.parametrize(("code", "error"), [("x = (", SyntaxError), ("\0", ValueError)])
def test_code_that_is_none_is_an_error_as_ever(code, error):
    with pytest.raises((error, SyntaxError)):
        syntax_tree(code)
