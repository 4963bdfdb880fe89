# SPDX-License-Identifier: Apache-2.0
"""Using up the machine: processes, threads, memory, output, files, descriptors."""

from __future__ import annotations

from klear_verl.judge import Verdict
from tests.judge.attacks.battery.attack import ANY, FAILS, HUNGRY, LIBC, SLOW, asserts, function, script

_MUCH_OUTPUT = frozenset({Verdict.OLE})
# Whichever limit comes first.
_BUSY = frozenset({Verdict.TLE, Verdict.RE, Verdict.MLE, Verdict.WA})

ATTACKS = (
    script("bomb_forks", "processes without end", "import os\nwhile True: os.fork()", allowed=FAILS | SLOW),
    script(
        "bomb_forks_that_ignore_failure",
        "processes as long as it may run",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        allowed=_BUSY,
    ),
    script(
        "bomb_forks_by_libc",
        "the same through libc, which runs no handlers of Python's",
        LIBC + "while True: libc.fork(); libc.vfork() and None",
        allowed=_BUSY,
    ),
    script(
        "bomb_threads",
        "threads without end",
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(60,)).start()",
        allowed=_BUSY,
    ),
    script(
        "bomb_native_threads",
        "native threads with small stacks, so that the address space lasts",
        LIBC
        + """
import time
attributes = ctypes.create_string_buffer(64)
libc.pthread_attr_init(attributes)
libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(16384))
thread = ctypes.c_ulong()
count = 0
while count < 3000 and libc.pthread_create(ctypes.byref(thread), attributes, libc.pause, None) == 0: count += 1
print(42 if count == 3000 else "refused")
""",
        allowed=_BUSY,
    ),
    script(
        "bomb_memory", "memory in pieces of 1 MiB", "x = []\nwhile True: x.append(bytearray(1 << 20))", allowed=HUNGRY
    ),
    script("bomb_memory_at_once", "a terabyte in one piece", "x = bytearray(1 << 40)", allowed=HUNGRY),
    script(
        "bomb_memory_objects",
        "many small objects",
        "x = []\nwhile True: x.append([x, {}, 'a' * len(x)])",
        allowed=HUNGRY,
    ),
    script(
        "bomb_memory_mapped",
        "anonymous mappings, private and shared",
        "import mmap\nx = []\nwhile True:\n    for flags in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):\n"
        "        x.append(mmap.mmap(-1, 1 << 22, flags | mmap.MAP_ANONYMOUS)); x[-1].write(b'x' * (1 << 22))",
        allowed=HUNGRY,
    ),
    script(
        "bomb_memory_in_memory_files",
        "memory that counts for no address space",
        "import os\nx = []\nwhile True:\n    x.append(os.memfd_create('x')); os.write(x[-1], b'x' * (1 << 22))",
        allowed=FAILS,
    ),
    script(
        "bomb_memory_in_pipes",
        "kernel memory, in the buffers of pipes",
        """
import fcntl, os
while True:
    r, w = os.pipe(); fcntl.fcntl(w, 1031, 1 << 20)
    os.write(w, b'x' * (1 << 20))
""",
        allowed=FAILS,
    ),
    script(
        "bomb_memory_locked",
        "memory that can't be swapped",
        LIBC + "print(42 if libc.mlockall(3) == 0 else 'refused')",
    ),
    script(
        "bomb_memory_swallowed",
        "goes on after every MemoryError",
        "x = []\nwhile True:\n    try: x.append(bytearray(1 << 20))\n    except MemoryError: pass",
        allowed=_BUSY,
    ),
    script("bomb_integer", "an integer of 10^9 digits", "print(9 ** 9 ** 9)", allowed=_BUSY),
    script("bomb_string_by_format", "a format of 10^10 columns", "print(f'{42:>10000000000}')", allowed=HUNGRY),
    script(
        "bomb_decompression",
        "a gibibyte from a small text",
        "import zlib\nx = zlib.compress(b'0' * (1 << 24), 9)\ny = zlib.decompress(x)\nwhile True: y = y + y",
        allowed=HUNGRY,
    ),
    script("bomb_output", "output without end", "while True: print('x' * 4096)", allowed=_MUCH_OUTPUT),
    script(
        "bomb_output_after_the_answer",
        "the answer must not count once the output is too long",
        "import os\nwhile True: os.write(1, b' ' * 65536)",
        allowed=_MUCH_OUTPUT,
    ),
    script(
        "bomb_output_by_threads",
        "four threads write at once",
        "import os, threading\ndef go():\n    while True: os.write(1, b'x' * 65536)\n"
        "for _ in range(4): threading.Thread(target=go).start()",
        allowed=_MUCH_OUTPUT,
    ),
    script(
        "bomb_output_by_splice",
        "tee and splice move pages without copying",
        LIBC + "r, w = os.pipe()\nos.write(w, b'x' * 4096)\nwhile True:\n    if libc.tee(r, 1, 4096, 0) < 0: break",
        allowed=_MUCH_OUTPUT | FAILS,
    ),
    script(
        "bomb_error_output",
        "standard error without end",
        "import sys\nwhile True: sys.stderr.write('x' * 4096)",
        allowed=SLOW | FAILS,
    ),
    function(
        "bomb_output_in_call",
        "output beside a right value",
        "import os\ndef f():\n    while True: os.write(1, b'x' * 65536)",
        allowed=_MUCH_OUTPUT,
    ),
    script(
        "bomb_numbers_for_the_comparison",
        "an output that is dear to compare: many huge decimals",
        "print('1e99999 ' * 100000)",
        expected="2e99999 " * 1000,
        allowed=ANY,
    ),
    script(
        "bomb_lines_for_the_comparison",
        "an output that is dear to compare: one number of a million digits",
        "print('7' * 1000000)",
        expected="8" * 1000,
        allowed=ANY,
    ),
    script(
        "bomb_disk_in_working_folder",
        "fills the disk",
        "f = open('klear_attack', 'wb')\nwhile True: f.write(b'x' * (1 << 20))",
    ),
    script(
        "bomb_disk_in_tmp",
        "fills /tmp",
        "f = open('/tmp/klear_attack_disk', 'wb', 0)\nf.write(b'x' * (1 << 20))\nprint(42)",
    ),
    script(
        "bomb_disk_sparse",
        "a sparse file of a terabyte",
        """
import os
fd = os.open('/tmp/klear_attack_sparse', os.O_CREAT | os.O_RDWR)
os.ftruncate(fd, 1 << 40)
print(42)
""",
    ),
    script(
        "bomb_disk_unnamed",
        "a file without a name",
        "import os\nfor folder in ('.', '/tmp', '/var/tmp', '/dev/shm'):\n    try:\n"
        "        fd = os.open(folder, os.O_TMPFILE | os.O_RDWR)\n    except OSError: continue\n    print(42); break",
    ),
    script(
        "bomb_descriptors",
        "descriptors without end",
        "held = []\nwhile True: held.append(open('/dev/null'))",
    ),
    script(
        "bomb_descriptors_of_all_kinds",
        "epolls, timers, events and copies",
        "import os, select\nheld = []\nwhile True:\n    held += [select.epoll(), os.eventfd(0), os.dup(0), os.pipe()]",
    ),
    script(
        "bomb_epoll_nesting",
        "epolls in epolls, dear to wake up",
        """
import select
last = select.epoll()
for _ in range(100):
    new = select.epoll(); new.register(last.fileno()); last = new
print(last)
""",
    ),
    script(
        "bomb_regular_expression",
        "backtracking that never ends",
        "import re\nre.match('(a*)*b', 'a' * 40)",
        allowed=SLOW,
    ),
    script(
        "bomb_sorting",
        "a comparison that never ends",
        "sorted([1, 2], key=lambda x: [0 for _ in iter(int, 1)])",
        allowed=SLOW,
    ),
    script(
        "bomb_random_pool",
        "reads devices without end",
        "f = open('/dev/zero', 'rb')\nwhile True: f.read(1 << 16)",
        allowed=SLOW | FAILS,
    ),
    script(
        "bomb_faults",
        "maps and unmaps without end",
        "import mmap\nwhile True: mmap.mmap(-1, 1 << 24).close()",
        allowed=SLOW,
    ),
    asserts(
        "bomb_memory_in_assert",
        "memory, while the tests wait",
        "def f(x):\n    y = []\n    while True: y.append(bytearray(1 << 20))",
        "assert f(2) == 4",
        allowed=HUNGRY,
    ),
    asserts(
        "bomb_time_in_assert",
        "never returns to the test",
        "def f(x):\n    while True: pass",
        "assert f(2) == 4",
        allowed=SLOW,
    ),
    asserts(
        "bomb_value_in_assert",
        "a value too large to compare",
        "def f(x): return [0] * (1 << 24)",
        "assert f(2) == 4",
        allowed=ANY,
    ),
    asserts(
        "bomb_generator_in_assert",
        "a value without end",
        "import itertools\ndef f(x): return itertools.count()",
        "assert list(f(2)) == [4]",
        allowed=ANY,
    ),
)
