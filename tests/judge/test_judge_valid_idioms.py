# SPDX-License-Identifier: Apache-2.0
"""Every honest way to read two numbers and print their sum is accepted."""

from __future__ import annotations

import importlib.util

import pytest

from klear_verl.judge.judge import Judge
from klear_verl.judge.problem import Problem, StdioTest

SUM = Problem(id="sum", tests=(StdioTest(input="3 4\n", output="7\n"), StdioTest(input="-5\n12\n", output="7")))

PROGRAMS = {
    "input_until_eof": """
numbers = []
try:
    while True:
        numbers += map(int, input().split())
except EOFError:
    print(sum(numbers))
""",
    "sys_stdin_read": "import sys; print(sum(map(int, sys.stdin.read().split())))",
    "sys_stdin_iteration": "import sys; print(sum(int(x) for line in sys.stdin for x in line.split()))",
    "sys_stdin_readlines": "import sys; print(sum(int(x) for line in sys.stdin.readlines() for x in line.split()))",
    "sys_stdin_buffer": "import sys; print(sum(map(int, sys.stdin.buffer.read().split())))",
    "sys_stdin_buffer_readline": """
import sys
line = sys.stdin.buffer.readline
numbers = []
while (text := line()):
    numbers += map(int, text.split())
print(sum(numbers))
""",
    "open_0": "print(sum(map(int, open(0).read().split())))",
    "open_0_iteration": "print(sum(int(x) for line in open(0) for x in line.split()))",
    "open_dev_stdin": "print(sum(map(int, open('/dev/stdin').read().split())))",
    "os_read_0": "import os; print(sum(map(int, os.read(0, 10**6).split())))",
    "os_fstat_size": "import os, io; print(sum(map(int, io.BytesIO(os.read(0, os.fstat(0).st_size)).read().split())))",
    "mmap_stdin": """
import mmap
with mmap.mmap(0, 0, access=mmap.ACCESS_READ) as m:
    print(sum(map(int, m[:].split())))
""",
    "exit_after_print": "print(sum(map(int, open(0).read().split()))); exit()",
    "exit_0_after_print": "print(sum(map(int, open(0).read().split()))); exit(0)",
    "quit_after_print": "print(sum(map(int, open(0).read().split()))); quit()",
    "sys_exit_after_print": "import sys\nprint(sum(map(int, open(0).read().split())))\nsys.exit(0)",
    "raise_system_exit": "print(sum(map(int, open(0).read().split())))\nraise SystemExit",
    "os_exit_after_flush": "import os\nprint(sum(map(int, open(0).read().split())), flush=True)\nos._exit(0)",
    "main_guard": """
def main():
    print(sum(map(int, open(0).read().split())))
if __name__ == "__main__":
    main()
""",
    "thread_with_big_stack": """
import sys, threading
sys.setrecursionlimit(1 << 20)
threading.stack_size(1 << 28)
def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)
def main():
    assert depth(50000) == 50000
    print(sum(map(int, sys.stdin.read().split())))
thread = threading.Thread(target=main)
thread.start()
thread.join()
""",
    "thread_not_joined": """
import threading
threading.Thread(target=lambda: print(sum(map(int, open(0).read().split())))).start()
""",
    "recursion_limit": """
import sys
sys.setrecursionlimit(10**6)
def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)
assert depth(20000) == 20000
print(sum(map(int, open(0).read().split())))
""",
    "deep_recursion_through_a_cache": """
import sys, functools
sys.setrecursionlimit(10**6)
@functools.lru_cache(None)
def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)
n = 20000 if sys.version_info < (3, 12) else 2000  # later Pythons bound it themselves
assert depth(n) == n
print(sum(map(int, open(0).read().split())))
""",
    "class_solution_in_script": """
class Solution:
    def add(self, numbers):
        return sum(numbers)
print(Solution().add(map(int, open(0).read().split())))
""",
    "sys_stdout_write": "import sys; sys.stdout.write(str(sum(map(int, sys.stdin.read().split()))))",
    "sys_stdout_buffer": "import sys; sys.stdout.buffer.write(b'%d' % sum(map(int, sys.stdin.read().split())))",
    "open_1_left_open": "out = open(1, 'w')\nout.write(str(sum(map(int, open(0).read().split()))))",
    "os_write_1": "import os; os.write(1, str(sum(map(int, os.read(0, 999).split()))).encode())",
    "print_redefined": """
import sys
input = iter(sys.stdin.read().split()).__next__
print = lambda *a: sys.stdout.write(' '.join(map(str, a)) + '\\n')
print(int(input()) + int(input()))
""",
    "fast_io_template": """
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
sys.stdin, sys.stdout = IOWrapper(sys.stdin), IOWrapper(sys.stdout)
print(sum(map(int, sys.stdin.read().split())))
""",
    "atexit_prints": """
import atexit, io, sys
buffer = io.StringIO()
sys.stdout = buffer
atexit.register(lambda: sys.__stdout__.write(buffer.getvalue()))
print(sum(map(int, open(0).read().split())))
""",
    "redirect_stdout": """
import io, contextlib
held = io.StringIO()
with contextlib.redirect_stdout(held):
    print(sum(map(int, open(0).read().split())))
print(held.getvalue())
""",
    "dataclass_and_typing": """
from dataclasses import dataclass
from typing import List, NamedTuple
@dataclass(order=True)
class Pair:
    a: int
    b: int
class P(NamedTuple):
    x: int
a, b = map(int, open(0).read().split())
pair = Pair(a, b)
print(pair.a + pair.b + P(0).x)
""",
    "pickle_of_own_class": """
import pickle
class Box:
    def __init__(self, v): self.v = v
print(pickle.loads(pickle.dumps(Box(sum(map(int, open(0).read().split()))))).v)
""",
    "top_level_asserts": "a, b = map(int, open(0).read().split())\nassert a + b == b + a\nprint(a + b)",
    "crlf_output": "import sys\nsys.stdout.write(str(sum(map(int, open(0).read().split()))) + ' \\r\\n\\r\\n')",
    "stderr_noise": "import sys\nprint('x' * 10**5, file=sys.stderr)\nprint(sum(map(int, open(0).read().split())))",
    "lazy_standard_import": "import fractions, xml.dom.minidom, sqlite3\nprint(sum(map(int, open(0).read().split())))",
    "asyncio_free_generators": "print(sum((yield_ for yield_ in map(int, open(0).read().split()))))",
    "signal_alarm": "import signal\nsignal.alarm(0)\nprint(sum(map(int, open(0).read().split())))",
    "thread_pool": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(int, open(0).read().split())))
""",
    "byte_order_mark": "\ufeffprint(sum(map(int, open(0).read().split())))",
    "encoding_line": "# -*- coding: utf-8 -*-\n# \u00e9\nprint(sum(map(int, open(0).read().split())))",
    "crlf_source": "a = sum(map(int, open(0).read().split()))\r\nprint(a)\r\n",
    "future_import": "from __future__ import annotations\nprint(sum(map(int, open(0).read().split())))",
}


@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_honest_program_is_accepted(judge: Judge, source: str) -> None:
    judgement = judge.run(SUM, source)
    assert judgement.acc, judgement.detail


@pytest.mark.skipif(importlib.util.find_spec("numpy") is None, reason="numpy is not installed")
def test_installed_packages_can_be_imported(judge: Judge) -> None:
    judgement = judge.run(SUM, "import numpy\nprint(numpy.array(open(0).read().split(), dtype=int).sum())")
    assert judgement.acc, judgement.detail


def test_random_and_set_order_repeat_from_run_to_run(judge: Judge) -> None:
    source = "import random\nprint(random.random(), list({'a', 'b', 'c', 'd'}), hash('x'))"
    problem = Problem(id="r", tests=(StdioTest(input="", output="unknown"),))
    assert judge.run(problem, source).detail == judge.run(problem, source).detail
