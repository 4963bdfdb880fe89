# SPDX-License-Identifier: Apache-2.0
"""Ground truths of public data sets, read into `Problem`: every test becomes data here, and what is wrong with a row
is said here.

A ground truth is a dict, or its JSON, with exactly one of these kinds of tests:
    {"inputs": [...], "outputs": [...]}                 standard input and output: str, or list[str] joined by newlines
    {"inputs": [...], "outputs": [...], "fn_name": …}   calls: JSON text (one argument per line), or lists of arguments
    {"inputs_file": path, "outputs_file": path}         JSON files with the two lists; absolute paths
    {"functional": str | list[str]}                     asserts, run after the solution; each string is one test
    {"pytest": str}                                     a pytest module; the solution is importable as `solution`
    {"public_test_cases", "private_test_cases", …}      a LiveCodeBench record
    {"test": str, "entry_point": str, "prompt": …}      a HumanEval record
    {"test_list": [...], …}                             an MBPP record
and optionally "timeout" (CPU seconds), "max_test_cases" and "comparison" (see `checkers.py`). These cover Klear's code
rows and verl's prime-code rows (apps, taco, codeforces, codecontests). Published records keep the keys that describe
them (`ground_truth.py` lists them); any other key is an error that names it.

Nothing is guessed: an output that is a number instead of text, a missing expected value or an assert that can't fail
is an error that names the problem and the key. No ground truth makes this room run code or read without bounds.
"""

from klear_verl.judge.formats.ground_truth import content_id, problem_from_ground_truth

__all__ = ["content_id", "problem_from_ground_truth"]
