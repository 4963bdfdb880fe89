# SPDX-License-Identifier: Apache-2.0
"""Dishonest and destructive programs: none is accepted, none reaches anything outside, none leaves anything behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from klear_verl.judge.judge import Judge
from klear_verl.judge.problem import Problem, StdioTest
from klear_verl.judge.verdict import Judgement, Verdict

Attack = Callable[..., Judgement]
SECRET = "KLEAR_TEST_SECRET_TOKEN"

# Each must end in something other than AC when the expected output is 42, and must not hurt the judge.
PROGRAMS = {
    "exit_0_without_output": "import os; os._exit(0)",
    "sys_exit_without_output": "import sys; sys.exit(0)",
    "expected_output_in_frames": """
import sys
frame = sys._getframe()
while frame:
    for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
        if isinstance(value, str) and value.strip() == "4" + "2": print(value)
    frame = frame.f_back
""",
    "expected_output_in_gc": """
import gc
for o in gc.get_objects():
    if isinstance(o, dict):
        for v in list(o.values()):
            if isinstance(v, str) and v.strip() == "4" + "2": print(v)
""",
    "expected_output_in_descriptors": """
import os
for fd in range(3, 64):
    try:
        os.write(1, os.read(fd, 1 << 16))
    except OSError:
        pass
""",
    "forged_report_frame": """
import os
for fd in range(2, 64):
    try:
        os.write(fd, b"CV42T" + b"0" * 16)
    except OSError:
        pass
""",
    "forged_reply_to_the_supervisor": """
import json, os, socket
for fd in range(0, 200):
    try:
        socket.socket(fileno=fd).send(json.dumps({"status": 0, "reason": "exit", "cpu_s": 0, "wall_s": 0}).encode())
    except OSError:
        pass
""",
    "arguments_of_the_parent": "import os; print(open(f'/proc/{os.getppid()}/cmdline').read())",
    "memory_of_the_parent": "import os; open(f'/proc/{os.getppid()}/mem', 'rb').read(1)",
    "memory_of_the_parent_by_system_call": """
import ctypes, os
buffer = ctypes.create_string_buffer(8)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
local, remote = Vector(ctypes.addressof(buffer), 8), Vector(id(int), 8)
n = ctypes.CDLL(None).process_vm_readv(os.getppid(), ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
print(42 if n == 8 else "refused")
""",
    "ptrace_of_the_parent": """
import ctypes, os
print(42 if ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0 else 'refused')
""",
    "kill_everything": "import os\nos.kill(-1, 9)\nprint(42)",
    "kill_the_parent": "import os\nos.kill(os.getppid(), 9)\nprint(42)",
    "stop_the_parent": "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\nprint(42)",
    "kill_the_group": "import os\nos.killpg(0, 9)\nprint(42)",
    "kill_itself": "import ctypes\nctypes.string_at(0)",
    "stop_itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "fork_bomb": "import os\nwhile True: os.fork()",
    "fork_bomb_by_system_call": """
import ctypes
libc = ctypes.CDLL(None)
print(42 if any(libc.syscall(number, 0, 0, 0, 0, 0) >= 0 for number in (57, 58, 56)) else "refused")
""",
    "clone3": "import ctypes\nlibc = ctypes.CDLL(None)\nprint(42 if libc.syscall(435, 0, 0) >= 0 else 'refused')",
    "thread_bomb": """
import threading, time
while True: threading.Thread(target=time.sleep, args=(60,)).start()
""",
    "memory_bomb": "x = []\nwhile True: x.append(bytearray(1 << 20))",
    "memory_bomb_at_compile_time": "x = ((((b'x' * 4096) * 4096) * 4096) * 4096)",
    "output_bomb": "while True: print('x' * 4096)",
    "error_output_bomb": "import sys\nwhile True: sys.stderr.write('x' * 4096)",
    "descriptor_bomb": "held = []\nwhile True: held.append(open('/dev/null'))",
    "disk_bomb_in_place": "f = open('big', 'wb')\nwhile True: f.write(b'x' * (1 << 20))",
    "disk_bomb_in_tmp": "f = open('/tmp/klear_attack_disk', 'wb')\nf.write(b'x')\nf.flush()\nprint(42)",
    "shared_memory_file": "open('/dev/shm/klear_attack_shm', 'w')\nprint(42)",
    "shared_memory_segment": """
import ctypes
libc = ctypes.CDLL(None)
print(42 if libc.shmget(77, 4096, 0o1666) >= 0 else 'refused')
""",
    "ignores_signals": """
import signal
for n in range(1, 32):
    try: signal.signal(n, signal.SIG_IGN)
    except OSError: pass
while True: pass
""",
    "swallows_exceptions": """
while True:
    try:
        while True: pass
    except BaseException: pass
""",
    "patched_clock": "import time\ntime.time = time.monotonic = time.process_time = lambda: 0\nwhile True: pass",
    "raised_limits": """
import resource
resource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6))
print(42)
""",
    "sleeps": "import time; time.sleep(1000)",
    "busy_threads": """
import threading
def spin():
    while True: pass
for _ in range(8): threading.Thread(target=spin, daemon=True).start()
spin()
""",
    "environment": "import os; print(42 if os.environ.get('KLEAR_TEST_SECRET_TOKEN') else 'clean')",
    "environment_of_the_ancestors": """
import os
for pid in (os.getppid(), 'self', 1, *range(2, 40000)):
    try:
        if b'KLEAR_TEST_SECRET' in open(f'/proc/{pid}/environ', 'rb').read(): print(42); break
    except OSError: pass
""",
    "key_files": "import os\nos.listdir(os.path.expanduser('~'))\nprint(42)",
    "password_file": "open('/etc/passwd').read()\nprint(42)",
    "exec_a_program": "import os\nos.execv('/bin/echo', ['echo', '42'])",
    "subprocess": "import subprocess\nsubprocess.run(['echo', '42'])",
    "os_system": "import os\nos.system('echo 42')",
    "tcp": "import socket\nsocket.create_connection(('127.0.0.1', 22), 1)\nprint(42)",
    "udp": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))\nprint(42)",
    "abstract_socket": "import socket\nsocket.socket(socket.AF_UNIX).bind('\\0klear')\nprint(42)",
    "io_uring": """
import ctypes
libc = ctypes.CDLL(None)
print(42 if libc.syscall(425, 8, ctypes.create_string_buffer(256)) >= 0 else 'refused')
""",
    "memfd": "import os\nos.memfd_create('x')\nprint(42)",
    "namespaces": "import ctypes\nlibc = ctypes.CDLL(None)\nprint(42 if libc.unshare(0x10000000) == 0 else 'refused')",
    "chroot": "import os\nos.chroot('/')\nprint(42)",
    "mount": """
import ctypes
libc = ctypes.CDLL(None)
print(42 if libc.mount(b'none', b'/mnt', b'tmpfs', 0, 0) == 0 else 'refused')
""",
    "symbolic_link": "import os\nos.symlink('/etc/passwd', 'link')\nprint(42)",
    "mode_of_an_installed_file": "import os\nos.chmod(os.__file__, 0o644)\nprint(42)",
    "truncated_installed_file": "import os\nos.truncate(os.__file__, 10**9)\nprint(42)",
    "patched_builtins": """
import builtins, json
builtins.len = builtins.all = builtins.isinstance = lambda *a: True
json.dumps = lambda *a, **k: '42'
str.__eq__ if True else None
""",
    "stack_overflow": """
import sys
sys.setrecursionlimit(10**9)
class A:
    def __repr__(self): return repr(self)
repr(A())
""",
    "binary_output": "import os; os.write(1, bytes(range(256)) * 10)",
    "surrogate_output": "print('\\ud800' * 3 + '42')",
    "nul_output": "print('\\0' * 10 + '42')",
    "closed_streams": "import os\nfor fd in (0, 1, 2): os.close(fd)",
    "deep_nesting_in_source": "x = " + "(" * 5000 + ")" * 5000,
    "deep_unary_chain_in_source": "x = " + "-" * 200_000 + "1",
    "nul_in_source": "print(42)\0",
    "surrogate_in_source": "print('\ud800')",
    "huge_source": "#" * (2 << 20) + "\nprint(42)",
    "binary_source": "\x7fELF\x02\x01\x01\x00",
    "empty_source": "",
}


@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_attack_is_not_accepted_and_the_judge_still_works(
    attack: Attack, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, "x")
    judgement = attack(source)
    assert judgement.verdicts[0] not in (Verdict.AC, Verdict.IE), judgement
    assert attack("print(42)").acc


def test_secrets_of_the_supervisor_are_out_of_reach() -> None:
    """The environment of a process is fixed at exec, so the one with the secret must be started with it."""
    program = """
from klear_verl.judge.judge import Judge
from klear_verl.judge.problem import Problem, StdioTest
attack = '''
import glob
for path in glob.glob("/proc/*/environ"):
    try:
        print(b"KLEAR_TEST_" + b"SECRET" in open(path, "rb").read())
    except OSError as error:
        print(type(error).__name__)
try:
    open("/proc/%d/environ" % SUPERVISOR, "rb")
except OSError as error:
    print(type(error).__name__)
'''
import os
with Judge() as judge:
    problem = Problem(id="x", tests=(StdioTest(input="", output="PermissionError"),))
    print(judge.run(problem, attack.replace("SUPERVISOR", str(os.getpid()))))
"""
    environment = {**os.environ, SECRET: "x"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert "acc=True" in done.stdout, done


def test_attacks_leave_no_files() -> None:
    assert not list(Path("/tmp").glob("klear_attack*")) and not list(Path("/dev/shm").glob("klear_attack*"))


def test_one_test_can_not_leave_a_message_for_the_next(strict_judge: Judge) -> None:
    source = """
import os, random, sys
try:
    names = os.listdir(".")
except OSError:
    names = []
print(len(names), hasattr(sys, "left"), random.random.__class__.__name__, hasattr(os, "left"))
sys.left = os.left = 1
for act in (lambda: os.mkdir("left"), lambda: open("left2", "w"), lambda: os.link(os.__file__, "left3")):
    try: act()
    except OSError: pass
"""
    tests = tuple(StdioTest(input="", output="0 False builtin_function_or_method False") for _ in range(4))
    judgement = strict_judge.run(Problem(id="x", tests=tests), source)
    assert judgement.acc, judgement.detail


def test_the_zygote_keeps_nothing_of_earlier_programs_and_inputs(strict_judge: Judge) -> None:
    earlier = Problem(id="x", tests=(StdioTest(input="MARK" + "ER-INPUT", output="42"),))
    strict_judge.run(earlier, "print(input()) # MARK" + "ER-SOURCE")
    source = """
import gc, sys
needle = "MARK" + "ER-"
found = [o for o in gc.get_objects() if isinstance(o, (list, dict, tuple)) and needle in str(o)[:10**5]]
frame, text = sys._getframe(), ""
while frame:
    text += str({k: v for k, v in frame.f_locals.items() if k not in ("needle", "found", "text", "source", "payload")})
    frame = frame.f_back
print("found" if needle in text else "clean")
"""
    judgement = strict_judge.run(Problem(id="y", tests=(StdioTest(input="", output="clean"),)), source)
    assert judgement.acc, judgement.detail
