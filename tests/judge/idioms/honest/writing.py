# SPDX-License-Identifier: Apache-2.0
"""Ways to write standard output, and to end."""

from __future__ import annotations

from tests.judge.idioms.honest.idiom import script, total

_SUM = "sum(map(int, open(0).read().split()))"

IDIOMS = (
    total("print_and_exit", f"print({_SUM}); exit()"),
    total("print_and_exit_0", f"print({_SUM}); exit(0)"),
    total("print_and_quit", f"print({_SUM}); quit()"),
    total("print_and_sys_exit", f"import sys\nprint({_SUM})\nsys.exit(0)"),
    total("print_and_sys_exit_none", f"import sys\nprint({_SUM})\nsys.exit(None)"),
    total("print_and_raise_system_exit", f"print({_SUM})\nraise SystemExit"),
    total("print_and_os_exit", f"import os\nprint({_SUM}, flush=True)\nos._exit(0)"),
    total("exit_in_function", f"import sys\ndef main():\n    print({_SUM})\n    sys.exit()\nmain()"),
    total("exit_in_try", f"import sys\ntry:\n    print({_SUM})\n    sys.exit(0)\nfinally:\n    sys.stdout.flush()"),
    total("exit_caught", f"import sys\ntry:\n    sys.exit(1)\nexcept SystemExit:\n    print({_SUM})"),
    total("main_guard", f"def main():\n    print({_SUM})\nif __name__ == '__main__':\n    main()"),
    total(
        "main_guard_with_exit",
        f"import sys\ndef main():\n    print({_SUM})\n    return 0\nif __name__ == '__main__':\n    sys.exit(main())",
    ),
    total("sys_stdout_write", f"import sys; sys.stdout.write(str({_SUM}))"),
    total("sys_stdout_writelines", f"import sys; sys.stdout.writelines([str({_SUM}), '\\n'])"),
    total("sys_stdout_buffer", f"import sys; sys.stdout.buffer.write(b'%d' % {_SUM})"),
    total("sys_stdout_original", f"import sys; sys.__stdout__.write(str({_SUM}))"),
    total("print_in_parts", f"for digit in str({_SUM}):\n    print(digit, end='')"),
    total("print_to_file", f"import sys; print({_SUM}, file=sys.stdout, flush=True)"),
    total(
        "print_redefined",
        f"import sys\nprint = lambda *a: sys.stdout.write(' '.join(map(str, a)) + '\\n')\nprint({_SUM})",
    ),
    total("print_partial", f"import functools\nprint = functools.partial(print, flush=True)\nprint({_SUM})"),
    total("open_1_left_open", f"out = open(1, 'w')\nout.write(str({_SUM}))"),
    total("open_1_closed", f"with open(1, 'w') as out:\n    out.write(str({_SUM}))"),
    total("open_dev_stdout", f"print({_SUM}, file=open('/dev/stdout', 'w'), flush=True)"),
    total("os_write", f"import os; os.write(1, str({_SUM}).encode())"),
    total("os_write_to_stream", f"import os, sys; os.write(sys.stdout.fileno(), str({_SUM}).encode())"),
    total(
        "stdout_reopened",
        f"import io, sys\nsys.stdout = io.TextIOWrapper(open(1, 'wb', 0), write_through=True)\nprint({_SUM})",
    ),
    total("stdout_reconfigured", f"import sys\nsys.stdout.reconfigure(line_buffering=True)\nprint({_SUM})"),
    total("stdout_closed_at_end", f"import sys\nprint({_SUM})\nsys.stdout.close()"),
    total(
        "stdout_collected",
        f"import sys, io\nout = io.StringIO()\nprint({_SUM}, file=out)\nsys.stdout.write(out.getvalue())",
    ),
    total(
        "redirected",
        f"""
import io, contextlib
held = io.StringIO()
with contextlib.redirect_stdout(held):
    print({_SUM})
print(held.getvalue())
""",
    ),
    total(
        "exit_handler_prints",
        f"""
import atexit, io, sys
buffer = io.StringIO()
sys.stdout = buffer
atexit.register(lambda: sys.__stdout__.write(buffer.getvalue()))
print({_SUM})
""",
    ),
    total("crlf_output", f"import sys\nsys.stdout.write(str({_SUM}) + ' \\r\\n\\r\\n')"),
    total("trailing_spaces", f"print({_SUM}, '  ')\nprint()"),
    total("noise_on_error_stream", f"import sys\nprint('x' * 10**5, file=sys.stderr)\nprint({_SUM})"),
    total(
        "much_noise_on_error_stream",
        f"import sys\nfor _ in range(4000): print('x' * 1000, file=sys.stderr)\nprint({_SUM})",
    ),
    total("warning", f"import warnings\nwarnings.warn('x')\nprint({_SUM})"),
    total("logging", f"import logging\nlogging.basicConfig(level=logging.DEBUG)\nlogging.info('x')\nprint({_SUM})"),
    total("finalizer_prints", f"class E:\n    def __del__(self):\n        print({_SUM})\ne = E()\ndel e"),
    total("exception_caught", f"try:\n    1 / 0\nexcept ZeroDivisionError:\n    print({_SUM})"),
    script(
        "large_output",
        "print('x' * 99 + '\\n', end='') if 0 else print('\\n'.join(['x' * 99] * 50_000))",
        ("", "\n".join(["x" * 99] * 50_000)),
    ),
    script("many_prints", "for i in range(100_000): print(i)", ("", "\n".join(map(str, range(100_000))))),
    script("not_ascii", "print('žluťoučký', '🙂', '漢字')", ("", "žluťoučký 🙂 漢字")),
    script("numbers_as_floats", "print(1.0, 2.5)", ("", "1 2.50")),
    script("nothing", "pass", ("1", "")),
)
