# SPDX-License-Identifier: Apache-2.0
"""Two solutions at the same time: one that hurts or signals, beside one that must not notice."""

from __future__ import annotations

from dataclasses import dataclass

from tests.judge.attacks.battery.attack import LIBC


@dataclass(frozen=True)
class Neighbours:
    """`loud` runs again and again while `quiet` runs; `quiet` must print "ok"."""

    name: str
    tries: str
    loud: str
    quiet: str


_HONEST = """
import threading
done = []
for n in range(8):
    thread = threading.Thread(target=done.append, args=(n,))
    thread.start()
    thread.join()
x = bytearray(64 << 20)
print("ok" if sorted(done) == list(range(8)) else done)
"""
_LISTEN = """
import fcntl, os, signal, socket, time
found = []
def listen(sense):
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        sense()
        time.sleep(0.002)
    print("heard" if found else "ok")
def listen_for_signals(ask):
    signal.signal(signal.SIGIO, lambda *a: found.append(1))
    try:
        ask()
    except OSError:
        pass
    listen(lambda: None)
"""

NEIGHBOURS = (
    Neighbours(
        "beside_forks",
        "all processes of the machine",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        _HONEST,
    ),
    Neighbours(
        "beside_threads",
        "all threads of the user, or of the control group",
        LIBC
        + """
import time
attributes = ctypes.create_string_buffer(64)
libc.pthread_attr_init(attributes)
libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(16384))
thread = ctypes.c_ulong()
for _ in range(20000): libc.pthread_create(ctypes.byref(thread), attributes, libc.pause, None)
time.sleep(60)
""",
        _HONEST,
    ),
    Neighbours(
        "beside_memory",
        "all memory of the machine, or of the control group",
        "x = []\nwhile True:\n    try: x.append(b'x' * (1 << 20))\n    except MemoryError: pass",
        _HONEST,
    ),
    Neighbours(
        "beside_output", "all memory, in what it prints", "import os\nwhile True: os.write(1, b'x' * 65536)", _HONEST
    ),
    Neighbours(
        "beside_pipes",
        "all memory that the kernel gives a user for pipes",
        """
import fcntl, os, time
held = []
try:
    while True:
        r, w = os.pipe()
        held += [r, w]
        fcntl.fcntl(w, 1031, 1 << 20)
        os.write(w, b'x' * (1 << 20))
except OSError:
    pass
time.sleep(60)
""",
        "import os\nr, w = os.pipe()\nos.write(w, b'ok')\nprint(os.read(r, 2).decode())",
    ),
    Neighbours(
        "beside_pending_signals",
        "all timers and queued signals of the user",
        LIBC
        + """
import time
timer = ctypes.c_void_p()
while libc.timer_create(1, None, ctypes.byref(timer)) == 0: pass
time.sleep(60)
""",
        LIBC
        + """
timer = ctypes.c_void_p()
print('ok' if libc.timer_create(1, None, ctypes.byref(timer)) == 0 else 'none left')
""",
    ),
    Neighbours(
        "beside_asynchronous_io",
        "all contexts of asynchronous I/O that the machine has",
        LIBC
        + """
import time
for size in (60000, 20000, 5000, 1000, 100, 10, 1):
    while libc.syscall(206, size, ctypes.byref(ctypes.c_ulong(0))) == 0: pass
time.sleep(60)
""",
        # To be refused by a filter is as good.
        LIBC
        + """
taken = libc.syscall(206, 1, ctypes.byref(ctypes.c_ulong(0)))
print("ok" if taken == 0 or ctypes.get_errno() == 1 else "none left")
""",
    ),
    Neighbours(
        "beside_questions",
        "the supervisor's time, by calls that it must refuse",
        """
import os, threading
def go():
    while True:
        try: os.fork()
        except OSError: pass
for _ in range(8): threading.Thread(target=go).start()
""",
        _HONEST,
    ),
    Neighbours(
        "heard_by_lock",
        "a lock on a file that both may read",
        """
import fcntl, os, time
fd = os.open(os.__file__, os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX)
time.sleep(60)
""",
        _LISTEN
        + """
def sense():
    fd = os.open(os.__file__, os.O_RDONLY)
    try: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError: found.append(1)
    except PermissionError: pass
    os.close(fd)
listen(sense)
""",
    ),
    Neighbours(
        "heard_by_record_lock",
        "a lock on a part of a file that both may read",
        """
import fcntl, os, time
fd = os.open(os.__file__, os.O_RDONLY)
fcntl.lockf(fd, fcntl.LOCK_SH, 7, 42)
time.sleep(60)
""",
        _LISTEN
        + """
import struct
def sense():
    fd = os.open(os.__file__, os.O_RDONLY)
    try:
        answer = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack('hhqqixxxx', fcntl.F_WRLCK, 0, 42, 7, 0))
        if struct.unpack('hhqqixxxx', answer)[0] != fcntl.F_UNLCK: found.append(1)
    except PermissionError: pass
    os.close(fd)
listen(sense)
""",
    ),
    Neighbours(
        "heard_by_folder_notes",
        "the kernel tells one that the other reads",
        "import os, time\nwhile True:\n    open(os.__file__).read(1)\n    time.sleep(0.001)",
        _LISTEN
        + """
folder = os.open(os.path.dirname(os.__file__), os.O_RDONLY)
listen_for_signals(lambda: fcntl.fcntl(folder, fcntl.F_NOTIFY, fcntl.DN_ACCESS | fcntl.DN_MULTISHOT))
""",
    ),
    Neighbours(
        "heard_by_lease",
        "the kernel tells one that the other opens",
        "import os, time\nwhile True:\n    os.close(os.open(os.__file__, os.O_RDONLY))\n    time.sleep(0.001)",
        _LISTEN
        + """
file = os.open(os.__file__, os.O_RDONLY)
listen_for_signals(lambda: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK))
""",
    ),
    Neighbours(
        "heard_by_abstract_socket",
        "a socket without a file",
        "import socket, time\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\0klear_attack')\ns.listen()\ntime.sleep(60)",
        _LISTEN
        + """
def sense():
    try:
        socket.socket(socket.AF_UNIX).connect('\\0klear_attack')
        found.append(1)
    except OSError: pass
listen(sense)
""",
    ),
    Neighbours(
        "heard_by_process_list",
        "names and numbers of other processes",
        LIBC + "import time\nlibc.prctl(15, b'klearattack')\ntime.sleep(60)",
        """
import os
found, me = [], int(os.readlink('/proc/self'))
for pid in (*range(1, 300), *range(me - 300, me + 300)):
    try:
        if 'klearattack' in open(f'/proc/{pid}/comm').read(): found.append(pid)
    except OSError: pass
print('heard' if found else 'ok')
""",
    ),
)
