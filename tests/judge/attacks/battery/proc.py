# SPDX-License-Identifier: Apache-2.0
"""Tricks with descriptors and /proc: reopening what is sealed, writing what is read-only."""

from __future__ import annotations

from klear_verl.judge import Problem, StdioTest
from tests.judge.attacks.battery.attack import Attack, asserts, relay, script

_ANY_FILE = """
import os
def any_write(*paths, data=b"1000"):
    for path in paths:
        try:
            with open(path, "r+b", 0) as file:
                file.write(data)
        except OSError:
            continue
        print(42)
        break
    else:
        print("refused")
"""

ATTACKS = (
    script(
        "proc_own_memory",
        "writes read-only memory of its own through /proc",
        _ANY_FILE + "os.pwrite(os.open('/proc/self/mem', os.O_RDWR), b'x', id(None))\nprint(42)",
    ),
    script(
        "proc_own_score",
        "safe from the out-of-memory killer",
        _ANY_FILE + "any_write('/proc/self/oom_score_adj', data=b'-1000')",
    ),
    script(
        "proc_own_score_up",
        "the first for the out-of-memory killer, so that it looks like our failure",
        _ANY_FILE + "any_write('/proc/self/oom_score_adj', '/proc/self/coredump_filter', '/proc/self/timerslack_ns')",
    ),
    script(
        "proc_own_user_map",
        "maps itself to root",
        _ANY_FILE + "any_write('/proc/self/uid_map', '/proc/self/setgroups', data=b'0 0 1')",
    ),
    script(
        "proc_core_pattern",
        "has the kernel run a program for a crash",
        _ANY_FILE + "any_write('/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe', data=b'|/bin/false')",
    ),
    script(
        "proc_system_request",
        "has the kernel kill everything",
        _ANY_FILE + "any_write('/proc/sysrq-trigger', data=b'x')",
    ),
    script(
        "proc_pid_limit",
        "no more processes for anybody",
        _ANY_FILE + "any_write('/proc/sys/kernel/threads-max', data=b'9999999')",
    ),
    script(
        "proc_cgroup", "leaves its control group", _ANY_FILE + "any_write('/sys/fs/cgroup/cgroup.procs', data=b'0')"
    ),
    script(
        "proc_root_of_itself",
        "the root behind /proc",
        "import os\nprint(42 if os.listdir('/proc/self/root/etc') else 'refused')",
    ),
    script(
        "proc_root_of_parent",
        "the root of its parent",
        "import os\nprint(42 if os.listdir(f'/proc/{os.getppid()}/root/etc') else 'refused')",
    ),
    script(
        "proc_folder_of_parent",
        "the working folder of its parent",
        "import os\nprint(42 if os.listdir(f'/proc/{os.getppid()}/cwd/') is not None else 'refused')",
    ),
    Attack(
        "proc_change_input_of_the_next_test",
        "writes into the files behind its descriptors by every way there is, for the next test to find",
        (
            (
                Problem(
                    id="proc_change_input_of_the_next_test",
                    tests=(StdioTest(input="7\n", output="42"),) * 3,
                ),
                """
import ctypes, mmap, os
print(42 if open(0).read() != "7\\n" else "same")
libc = ctypes.CDLL(None)
def again(fd):
    return os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
for fd in range(64):
    for act in (
        lambda: os.pwrite(fd, b"9" * 99, 0),
        lambda: os.pwrite(again(fd), b"9" * 99, 0),
        lambda: os.ftruncate(fd, 5),
        lambda: os.posix_fallocate(fd, 0, 4096),
        lambda: mmap.mmap(fd, 4096, mmap.MAP_SHARED).write(b"9" * 99),
        lambda: os.lseek(fd, 3, 0),
    ):
        try: act()
        except (OSError, ValueError): pass
    libc.fallocate(fd, 3, 0, 4096)
""",
            ),
        ),
    ),
    script(
        "proc_unseal",
        "takes the seals off a memory file",
        "import fcntl\nfcntl.fcntl(0, fcntl.F_ADD_SEALS, 0)\nprint(42)",
        stdin="x",
    ),
    script("proc_mode_of_descriptor", "fchmod of its input", "import os\nos.fchmod(0, 0o777)\nprint(42)", stdin="x"),
    script(
        "proc_pipe_size",
        "a tiny pipe for its output, so that the judge waits",
        "import fcntl, os\nfcntl.fcntl(1, 1031, 4096)\nos.write(1, b'x' * 5000)",
    ),
    script(
        "proc_output_as_input",
        "reads its own output back",
        "import os\nos.write(1, b'x')\nos.set_blocking(1, False)\nprint(42 if os.read(1, 1) else 'refused')",
    ),
    script(
        "proc_library_for_writing",
        "opens an installed file for writing",
        _ANY_FILE + "any_write(os.__file__, data=b'')",
    ),
    script(
        "proc_mode_of_library",
        "changes the mode of an installed file",
        "import os\nos.chmod(os.__file__, 0o644)\nprint(42)",
    ),
    script("proc_cut_library", "cuts an installed file", "import os\nos.truncate(os.__file__, 10**9)\nprint(42)"),
    script(
        "proc_owner_of_library",
        "gives an installed file away",
        "import os\nos.chown(os.__file__, os.getuid(), os.getgid())\nprint(42)",
    ),
    script(
        "proc_flags_of_library",
        "an attribute of an installed file that lasts; it is put back if it could be set",
        """
import array, fcntl, os
fd = os.open(os.__file__, os.O_RDONLY)
flags = array.array('i', [0])
fcntl.ioctl(fd, 0x80086601, flags)
for _ in range(2):
    flags[0] ^= 0x40  # not to be dumped
    fcntl.ioctl(fd, 0x40086602, flags)
print(42)
""",
    ),
    script(
        "proc_terminal_input",
        "types into the terminal",
        "import fcntl\nfor fd in (0, 1, 2):\n    fcntl.ioctl(fd, 0x5412, b'x')\nprint(42)",
    ),
    relay(
        "proc_bytecode_of_library",
        "leaves bytecode in a cache that the next import finds",
        "import os, importlib.util\npath = importlib.util.cache_from_source(os.__file__.replace('os.py', 'this.py'))\n"
        "os.makedirs(os.path.dirname(path), exist_ok=True)\nopen(path, 'wb').write(b'klear')",
        "import os, importlib.util\npath = importlib.util.cache_from_source(os.__file__.replace('os.py', 'this.py'))\n"
        "print(42 if open(path, 'rb').read() == b'klear' else 'nothing')",
    ),
    asserts(
        "proc_debug_itself",
        "reads the test's text in the memory of whoever runs it",
        """
import os
def f():
    for pid in (os.getppid(), 1, *range(os.getpid() - 3, os.getpid() + 4)):
        try:
            memory = open(f'/proc/{pid}/mem', 'rb', 0)
        except OSError:
            continue
        if pid != os.getpid():
            return 42
    return 'refused'
""",
        "assert f() == 42",
    ),
)
