# SPDX-License-Identifier: Apache-2.0
"""Running other programs, which would start without the limits of Python's process."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import LIBC, script

_EXEC = "import os, sys\n"

ATTACKS = (
    script("exec_in_place", "becomes echo", _EXEC + "os.execv('/bin/echo', ['echo', '42'])"),
    script(
        "exec_python",
        "becomes a fresh interpreter",
        _EXEC + "os.execv(os.path.realpath('/usr/bin/python3'), ['python3', '-c', 'print(42)'])",
    ),
    script(
        "exec_own_interpreter",
        "becomes its own interpreter again",
        _EXEC + "os.execv(sys.executable, [sys.executable, '-c', 'print(42)'])",
    ),
    script(
        "exec_by_descriptor",
        "fexecve of an open file",
        _EXEC + "os.execve(os.open('/bin/echo', os.O_RDONLY), ['echo', '42'], {})",
    ),
    script(
        "exec_by_descriptor_at",
        "execveat with an empty path",
        LIBC
        + """
fd = os.open('/lib64/ld-linux-x86-64.so.2', os.O_RDONLY)
argv = (ctypes.c_char_p * 4)(b'ld', b'/bin/echo', b'42', None)
libc.syscall(322, fd, b'', argv, None, 0x1000)
print('refused')
""",
        machine="x86_64",
    ),
    script(
        "exec_by_loader",
        "has the dynamic loader, a library, start a program",
        _EXEC + "os.execv('/lib64/ld-linux-x86-64.so.2', ['ld', '/bin/echo', '42'])",
    ),
    script(
        "exec_from_memory",
        "a program in a memory file",
        _EXEC + "fd = os.memfd_create('x', 0)\nos.write(fd, b'#!/bin/sh\\necho 42\\n')\nos.execve(fd, ['x'], {})",
    ),
    script("exec_system", "a shell", _EXEC + "os.system('echo 42')"),
    script("exec_popen", "a pipe from a shell", _EXEC + "print(os.popen('echo 42').read())"),
    script(
        "exec_subprocess",
        "a subprocess",
        "import subprocess\nprint(subprocess.run(['echo', '42'], capture_output=True, text=True).stdout)",
    ),
    script("exec_spawn", "posix_spawn", _EXEC + "os.posix_spawn('/bin/echo', ['echo', '42'], {})\nos.wait()"),
    script("exec_in_vfork", "vfork and execve in native code", LIBC + "libc.system(b'echo 42')"),
    script(
        "exec_native_popen",
        "popen of libc",
        LIBC + "libc.popen.restype = ctypes.c_void_p\nprint(42 if libc.popen(b'echo 42', b'r') else 'refused')",
    ),
    script(
        "exec_word_expansion",
        "wordexp runs a shell",
        LIBC
        + """
out = (ctypes.c_void_p * 3)()
print(42 if libc.wordexp(b'$(echo 42)', out, 0) == 0 and out[0] else 'refused')
""",
    ),
    script(
        "exec_written_file",
        "a program of its own, written and made executable",
        _EXEC
        + """
open('klear_attack', 'w').write('#!/bin/sh\\necho 42')
os.chmod('klear_attack', 0o755)
os.execv('./klear_attack', ['x'])
""",
    ),
)
