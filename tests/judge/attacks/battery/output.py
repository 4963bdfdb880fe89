# SPDX-License-Identifier: Apache-2.0
"""Odd output: bytes, NUL, surrogates, terminals' tricks, several answers at once."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import ANY, WRONG, function, script

ATTACKS = (
    script("output_all_bytes", "is no text", "import os\nos.write(1, bytes(range(256)) * 10)", allowed=WRONG),
    script(
        "output_invalid_utf_8",
        "the answer among broken characters",
        "import os\nos.write(1, b'42\\xff\\xfe')",
        allowed=WRONG,
    ),
    script("output_surrogates", "half characters", "print('\\ud800' * 3 + '42')"),
    script("output_nul", "NUL, where C would stop", "print('42\\0 43')", allowed=WRONG),
    script("output_nul_first", "NUL before the answer", "print('\\0' * 10 + '42')", allowed=WRONG),
    script("output_backspaces", "looks right on a terminal only", "print('43\\b2')", allowed=WRONG),
    script("output_carriage_return", "looks right on a terminal only", "print('wrong\\r42   ')", allowed=WRONG),
    script("output_escape_codes", "hides a wrong part", "print('42\\x1b[8m43\\x1b[0m')", allowed=WRONG),
    script("output_all_answers", "every number there is", "print(*range(1000))", allowed=WRONG),
    script("output_all_answers_in_lines", "every number there is", "print(*range(1000), sep='\\n')", allowed=WRONG),
    script(
        "output_on_standard_error",
        "the answer on the other stream",
        "import sys\nprint(42, file=sys.stderr)",
        allowed=WRONG,
    ),
    script("output_look_alikes", "characters that look like the answer", "print('\\u0664\\u200b2')", allowed=WRONG),
    script(
        "output_not_a_number",
        "a number that equals nothing, or all",
        "print('nan')\nprint('sNaN')",
        expected="nan\nsnam",
        allowed=WRONG,
    ),
    script("output_infinity", "a number above all", "print('inf')", expected="1e400", allowed=WRONG),
    script(
        "output_huge_exponent", "a number that fills the memory when written out", "print('1e999999999')", allowed=WRONG
    ),
    script("output_many_digits", "more digits than Python reads", "print('4' * 100000)", allowed=WRONG),
    script("output_underscores", "a number with separators that is another", "print('4_3')", allowed=WRONG),
    script("output_by_closed_stream", "an answer that can't be delivered", "import os\nos.close(1)\nprint(42)"),
    script("output_answer_then_crash", "right, but for the way it ends", "import os\nos.write(1, b'42')\nos.abort()"),
    script("output_answer_then_status", "right, but for its exit status", "print(42)\nraise SystemExit(3)"),
    script("output_answer_then_exception", "right, but for an exception", "print(42)\n1 / 0"),
    script(
        "output_answer_then_exit_handler",
        "right, but for status 1 at the end",
        "import atexit, os\nprint(42, flush=True)\natexit.register(os._exit, 1)",
    ),
    script(
        "output_nothing_by_crash",
        "an empty output is expected, but not from a dead program",
        "import os\nos.abort()",
        expected="",
    ),
    script(
        "output_nothing_by_exception", "an empty output is expected, but not with an exception", "1 / 0", expected=""
    ),
    script(
        "output_nothing_by_timeout",
        "an empty output is expected, but in time",
        "while True: pass",
        expected="",
        allowed=ANY,
    ),
    script(
        "output_forged_memory_error",
        "says MemoryError itself",
        "import sys\nprint('MemoryError', file=sys.stderr)\nsys.exit(1)",
        allowed=ANY,
    ),
    function("output_value_surrogates", "half characters in a value", "def f(): return '\\ud83d42'"),
    function("output_value_nul", "NUL in a value", "def f(): return '42\\0'", expected="42"),
    function("output_value_bytes", "bytes for a text", "def f(): return b'42'", expected="42"),
    function("output_value_text_for_number", "the text of the number", "def f(): return '42'"),
    function("output_value_number_for_text", "the number of the text", "def f(): return 42", expected="42"),
)
