# SPDX-License-Identifier: Apache-2.0
"""Sources that are no programs, or that take the compiler down."""

from __future__ import annotations

from klear_verl.judge import Verdict
from tests.judge.attacks.battery.attack import ANY, FAILS, WRONG, asserts, function, script

_BROKEN = frozenset({Verdict.CE})
_HARD = frozenset({Verdict.CE, Verdict.RE, Verdict.MLE, Verdict.TLE, Verdict.WA})

ATTACKS = (
    script("source_empty", "nothing", "", allowed=WRONG),
    script("source_blank", "white space", " \n\t\r\n", allowed=WRONG),
    script("source_comment", "a comment that states the answer", "# 42", allowed=WRONG),
    script("source_binary", "an executable", "\x7fELF\x02\x01\x01\x00", allowed=_BROKEN),
    script("source_nul", "NUL after the answer, where C would stop", "print(42)\0", allowed=_BROKEN),
    script("source_nul_in_the_middle", "NUL hides the rest", "print(42)\n\0\nraise SystemExit(1)", allowed=_BROKEN),
    script("source_surrogate", "half a character", "print('\ud800')", allowed=_HARD),
    script("source_surrogate_as_name", "half a character outside strings", "\udc80 = 42", allowed=_BROKEN),
    script(
        "source_not_utf_8",
        "bytes of another encoding, as a lenient reader decodes them",
        "print('\udcff\udcfe')",
        allowed=_HARD,
    ),
    script("source_utf_16", "UTF-16 read as Latin-1", "print(42)".encode("utf-16").decode("latin-1"), allowed=_BROKEN),
    script(
        "source_wrong_encoding_line",
        "an encoding line that changes the meaning",
        "# -*- coding: rot13 -*-\ncevag(42)",
        allowed=FAILS,
    ),
    script("source_markdown", "an answer with its fence", "```python\nprint(42)\n```", allowed=_BROKEN),
    script("source_prose", "an explanation", "The answer is 42.", allowed=_BROKEN),
    script("source_other_language", "C", '#include <stdio.h>\nint main() { printf("42"); }', allowed=_BROKEN),
    script("source_python_2", "an old print", "print 42", allowed=_BROKEN),
    script("source_exit_outside", "return where there is no function", "return 42", allowed=_BROKEN),
    script("source_of_10_mib", "ten megabytes", "#" * (10 << 20) + "\nprint(42)", allowed=_BROKEN),
    script("source_deep_brackets", "nested brackets", "x = " + "(" * 5000 + ")" * 5000, allowed=_BROKEN),
    script("source_deep_lists", "nested lists below the parser's bound", "x = " + "[" * 190 + "]" * 190, allowed=_HARD),
    script("source_deep_unary", "a chain of signs", "x = " + "-" * 200_000 + "1", allowed=_HARD),
    script("source_deep_not", "a chain of not", "x = " + "not " * 100_000 + "1", allowed=_HARD),
    script("source_deep_attributes", "a chain of attributes", "x = 1\nx" + ".real" * 100_000, allowed=_HARD),
    script("source_deep_calls", "a chain of calls", "f = lambda: f\nf" + "()" * 100_000, allowed=_HARD),
    script("source_deep_sum", "a sum of a hundred thousand terms", "x = " + "1 + " * 100_000 + "1", allowed=_HARD),
    script("source_deep_lambdas", "lambdas in lambdas", "x = " + "lambda: " * 3000 + "1", allowed=_HARD),
    script(
        "source_deep_blocks",
        "nested blocks",
        "".join(" " * n + "if 1:\n" for n in range(150)) + " " * 150 + "pass",
        allowed=_BROKEN,
    ),
    script("source_deep_else", "a chain of elif", "if 0: pass\n" + "elif 0: pass\n" * 20_000, allowed=_HARD),
    script("source_deep_strings", "nested format strings", "x = " + "f'{" * 160 + "}'" * 160, allowed=_HARD),
    script("source_many_arguments", "a call with 10^5 arguments", "print(" + "1," * 100_000 + ")", allowed=_HARD),
    script("source_many_names", "10^5 names", "\n".join(f"x{n} = {n}" for n in range(50_000)), allowed=_HARD),
    script("source_huge_number", "more digits than the compiler reads", "x = " + "9" * 100_000, allowed=_HARD),
    script(
        "source_constant_bomb", "a constant of terabytes", "x = ((((b'x' * 4096) * 4096) * 4096) * 4096)", allowed=_HARD
    ),
    script("source_power_bomb", "a constant that takes years", "x = 9 ** 9 ** 9 ** 9", allowed=_HARD),
    script(
        "source_tuple_bomb", "constants of constants", "x = ((1,) * 200,) * 200\ny = (x * 200, x * 200)", allowed=ANY
    ),
    script("source_warning_as_answer", "a warning of the compiler", "x = 1 is 1\nassert (x, 42)", allowed=WRONG),
    script(
        "source_compile_bomb_at_run_time", "the same while running", "exec('x = ' + '-' * 200000 + '1')", allowed=_HARD
    ),
    script(
        "source_parser_memory",
        "an expression that takes the parser's memory",
        "(" + "a," * 300_000 + ") = 1",
        allowed=_HARD,
    ),
    function("source_broken_in_call", "no program for a call", "def f(:", allowed=_BROKEN),
    function("source_deep_in_call", "crashes the compiler for a call", "x = " + "-" * 200_000 + "1", allowed=_HARD),
    # The test itself would pass: only a solution that is none may keep it from that.
    asserts("source_broken_for_asserts", "no program for asserts", "def f(:", "assert True", allowed=_BROKEN),
    asserts(
        "source_deep_for_asserts",
        "crashes the compiler before asserts",
        "x = " + "-" * 200_000 + "1",
        "assert f(2) == 4",
        allowed=_HARD,
    ),
    asserts(
        "source_swallows_the_test",
        "an open string that would swallow appended tests",
        "def f(x): return 0\n'''",
        "assert f(2) == 4",
        allowed=_BROKEN,
    ),
    asserts(
        "source_comments_the_test",
        "an open comment at the end",
        "def f(x): return 0\n#",
        "assert f(2) == 4",
        allowed=FAILS,
    ),
    asserts(
        "source_continues_into_the_test",
        "a backslash at the end",
        "def f(x): return 0\nx = 1 or \\",
        "assert f(2) == 4",
        allowed=_BROKEN,
    ),
)
