# SPDX-License-Identifier: Apache-2.0
"""Finding the expected value of a call, or in the code of a test: it is a random key, so who returns it has read it."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import ANY, FIND_KEY, KEY, Attack, asserts, function, pytests

ATTACKS: tuple[Attack, ...] = (
    function(
        "read_expected_value_in_call",
        "the expected return value, in the frames around the call",
        FIND_KEY
        + """
import sys
def f():
    frame = sys._getframe()
    while frame:
        for key in find_key(repr([frame.f_locals, frame.f_globals]).encode()):
            return key.decode()
        frame = frame.f_back
""",
        expected=KEY,
    ),
    asserts(
        "read_expected_value_of_assert",
        "the constants of the code that calls it",
        FIND_KEY
        + """
import sys
def f():
    frame = sys._getframe()
    while frame:
        for key in find_key(repr([frame.f_code.co_consts, frame.f_locals, frame.f_globals]).encode()):
            return key.decode()
        frame = frame.f_back
""",
        f"expected = '{KEY}'\nassert f() == expected",
    ),
    asserts(
        "read_test_code_in_objects",
        "the test's text or code, among the objects of the collector",
        FIND_KEY
        + """
import gc
def f():
    for held in gc.get_objects():
        if isinstance(held, (list, tuple, dict)):
            for value in list(held.values() if isinstance(held, dict) else held):
                if isinstance(value, (str, bytes)):
                    for key in find_key(value.encode("utf-8", "replace") if isinstance(value, str) else value):
                        return key.decode()
""",
        f"assert f() == '{KEY}'",
        allowed=ANY,
    ),
    asserts(
        "read_test_code_in_descriptors",
        "the test's text, in an inherited descriptor",
        FIND_KEY
        + """
import os
def f():
    for fd in range(3, 64):
        try:
            for key in find_key(os.pread(fd, 1 << 16, 0)):
                return key.decode()
        except OSError:
            pass
""",
        f"assert f() == '{KEY}'",
    ),
    asserts(
        "read_test_code_of_the_tester",
        "the files that the processes beside it hold open, by their numbers in /proc",
        FIND_KEY
        + """
import os
def f():
    me = int(os.readlink("/proc/self"))
    for pid in range(me - 6, me + 9):
        for fd in range(64):
            try:
                file = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK)
                for key in find_key(os.pread(file, 1 << 16, 0)):
                    return key.decode()
                os.close(file)
            except OSError:
                pass
""",
        f"assert f() == '{KEY}'",
    ),
    pytests(
        "read_source_of_test_module",
        "inspect finds the source of the test function that calls",
        FIND_KEY
        + """
import inspect, linecache, sys
def f():
    frame = sys._getframe(1)
    while frame:
        lines = linecache.getlines(frame.f_code.co_filename, frame.f_globals)
        text = repr([lines, frame.f_code.co_consts, frame.f_locals])
        for key in find_key(text.encode()):
            return key.decode()
        frame = frame.f_back
""",
        f"def test_f():\n    assert f() == '{KEY}'",
    ),
)
