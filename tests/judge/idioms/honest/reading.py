# SPDX-License-Identifier: Apache-2.0
"""Ways to read standard input."""

from __future__ import annotations

from tests.judge.idioms.honest.idiom import script, total

_FAST_IO = """
import os, sys
from io import BytesIO, IOBase
class FastIO(IOBase):
    newlines = 0
    def __init__(self, file):
        self._fd = file.fileno()
        self.buffer = BytesIO()
        self.writable = "x" in file.mode or "r" not in file.mode
        self.write = self.buffer.write if self.writable else None
    def read(self):
        while True:
            b = os.read(self._fd, max(os.fstat(self._fd).st_size, 8192))
            if not b:
                break
            ptr = self.buffer.tell()
            self.buffer.seek(0, 2), self.buffer.write(b), self.buffer.seek(ptr)
        self.newlines = 0
        return self.buffer.read()
    def readline(self):
        while self.newlines == 0:
            b = os.read(self._fd, max(os.fstat(self._fd).st_size, 8192))
            self.newlines = b.count(b"\\n") + (not b)
            ptr = self.buffer.tell()
            self.buffer.seek(0, 2), self.buffer.write(b), self.buffer.seek(ptr)
        self.newlines -= 1
        return self.buffer.readline()
    def flush(self):
        if self.writable:
            os.write(self._fd, self.buffer.getvalue())
            self.buffer.truncate(0), self.buffer.seek(0)
class IOWrapper(IOBase):
    def __init__(self, file):
        self.buffer = FastIO(file)
        self.flush = self.buffer.flush
        self.writable = self.buffer.writable
        self.write = lambda s: self.buffer.write(s.encode("ascii"))
        self.read = lambda: self.buffer.read().decode("ascii")
        self.readline = lambda: self.buffer.readline().decode("ascii")
sys.stdin, sys.stdout = IOWrapper(sys.stdin), IOWrapper(sys.stdout)
"""

IDIOMS = (
    total(
        "input_until_eof",
        """
numbers = []
try:
    while True:
        numbers += map(int, input().split())
except EOFError:
    print(sum(numbers))
""",
    ),
    script(
        "input_per_line",
        "n = int(input())\nprint(sum(int(input()) for _ in range(n)))",
        ("3\n1\n2\n3\n", "6"),
        ("0\n", "0"),
    ),
    script(
        "input_with_prompt_on_error_stream",
        "import sys\nprint('n?', file=sys.stderr)\nprint(int(input()) * 2)",
        ("4", "8"),
    ),
    script(
        "input_renamed",
        "import sys\ninput = sys.stdin.readline\nn = int(input())\nprint(n, input().rstrip())",
        ("3\nabc\n", "3 abc"),
    ),
    script(
        "input_stripped",
        "import sys\ninput = lambda: sys.stdin.readline().rstrip('\\r\\n')\nprint(input() + input())",
        ("a\r\nb\r\n", "ab"),
    ),
    script("input_of_nothing", "import sys\nprint(len(sys.stdin.read()))", ("", "0")),
    script("input_not_read", "print('hello')", ("1\n2\n", "hello"), ("", "hello")),
    script("input_read_in_part", "print(input())", ("first\nsecond\nthird\n", "first")),
    total("sys_stdin_read", "import sys; print(sum(map(int, sys.stdin.read().split())))"),
    total("sys_stdin_iteration", "import sys; print(sum(int(x) for line in sys.stdin for x in line.split()))"),
    total(
        "sys_stdin_readlines", "import sys; print(sum(int(x) for line in sys.stdin.readlines() for x in line.split()))"
    ),
    total("sys_stdin_buffer", "import sys; print(sum(map(int, sys.stdin.buffer.read().split())))"),
    total(
        "sys_stdin_buffer_readline",
        """
import sys
line = sys.stdin.buffer.readline
numbers = []
while (text := line()):
    numbers += map(int, text.split())
print(sum(numbers))
""",
    ),
    total("sys_stdin_descriptor", "import os, sys; print(sum(map(int, os.read(sys.stdin.fileno(), 10**6).split())))"),
    total("sys_stdin_in_with", "import sys\nwith sys.stdin as f:\n    print(sum(map(int, f.read().split())))"),
    total("open_0", "print(sum(map(int, open(0).read().split())))"),
    total("open_0_binary", "print(sum(map(int, open(0, 'rb').read().split())))"),
    total("open_0_in_with", "with open(0) as f:\n    print(sum(map(int, f.read().split())))"),
    total("open_0_iteration", "print(sum(int(x) for line in open(0) for x in line.split()))"),
    total("open_dev_stdin", "print(sum(map(int, open('/dev/stdin').read().split())))"),
    total(
        "open_dev_stdin_twice",
        "a = open('/dev/stdin').read()\nprint(sum(map(int, a.split())))\nopen('/dev/stdin').close()",
    ),
    total("os_read_0", "import os; print(sum(map(int, os.read(0, 10**6).split())))"),
    total(
        "os_read_in_pieces",
        "import os\ndata = b''\nwhile (piece := os.read(0, 2)):\n    data += piece\nprint(sum(map(int, data.split())))",
    ),
    total(
        "os_fstat_size",
        "import os, io; print(sum(map(int, io.BytesIO(os.read(0, os.fstat(0).st_size)).read().split())))",
    ),
    total("os_fdopen", "import os; print(sum(map(int, os.fdopen(0).read().split())))"),
    total(
        "io_wrapper",
        """
import io, sys
file = io.TextIOWrapper(sys.stdin.buffer, encoding='ascii')
print(sum(map(int, file.read().split())))
""",
    ),
    total(
        "mmap_stdin",
        """
import mmap, os
if os.fstat(0).st_size:
    with mmap.mmap(0, 0, access=mmap.ACCESS_READ) as m:
        print(sum(map(int, m[:].split())))
""",
    ),
    total("fileinput", "import fileinput; print(sum(int(x) for line in fileinput.input() for x in line.split()))"),
    total(
        "seek_and_read_again",
        """
import sys
first = sys.stdin.read()
sys.stdin.seek(0)
assert sys.stdin.read() == first
print(sum(map(int, first.split())))
""",
    ),
    total(
        "iter_sentinel", "import sys; print(sum(int(x) for line in iter(sys.stdin.readline, '') for x in line.split()))"
    ),
    total(
        "generator_of_tokens",
        """
def tokens():
    for line in open(0):
        yield from line.split()
t = tokens()
print(int(next(t)) + int(next(t)))
""",
    ),
    total("is_a_terminal", "import sys\nassert not sys.stdin.isatty()\nprint(sum(map(int, sys.stdin.read().split())))"),
    total("fast_io_template", _FAST_IO + "print(sum(map(int, sys.stdin.read().split())))"),
    script(
        "fast_io_template_lines",
        _FAST_IO
        + """
input = lambda: sys.stdin.readline().rstrip('\\r\\n')
n = int(input())
print(sum(int(input()) for _ in range(n)))
""",
        ("2\n3\n4\n", "7"),
    ),
    script(
        "crlf_input", "n = int(input())\nprint([input().strip() for _ in range(n)])", ("2\r\na\r\nb\r\n", "['a', 'b']")
    ),
    script("crlf_input_by_buffer", "import sys\nprint(sys.stdin.buffer.read())", ("1\r\n2", "b'1\\r\\n2'")),
    script("no_final_newline", "import sys\nprint(repr(sys.stdin.readlines()[-1]))", ("a\nb", "'b'")),
    script("not_ascii", "print(input()[::-1], len('🙂'))", ("žluťoučký 🙂\n", "🙂 ýkčuoťulž 1")),
    script("not_ascii_bytes", "import sys\nprint(len(sys.stdin.buffer.readline()))", ("ž\n", "3")),
    script(
        "large_input",
        "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))",
        ("1234567 " * 1_300_000, str(1234567 * 1_300_000)),
    ),
    script(
        "many_lines", "print(sum(int(input()) for _ in range(int(input()))))", ("200000\n" + "7\n" * 200_000, "1400000")
    ),
)
