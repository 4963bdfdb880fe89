# SPDX-License-Identifier: Apache-2.0
"""Machine code of its own: system calls by the 32-bit gate and by x32 numbers, past a filter that knows only x86-64.

Each tries a call that a solution is refused, in the other numbering. `answer` judges the result as the kernel gives it.
"""

from __future__ import annotations

from tests.judge.attacks.battery.attack import FAILS, LIBC, Attack, script

# The code is put below 4 GiB, where the 32-bit gate can reach its arguments.
_CODE = (
    LIBC
    + r"""
import mmap, struct
libc.mmap.restype = ctypes.c_void_p
page = libc.mmap(None, ctypes.c_size_t(1 << 16), 7, 0x22 | 0x40, -1, 0)
assert page < 1 << 32
data = page + 4096
def run(code):
    ctypes.memmove(page, code, len(code))
    return ctypes.CFUNCTYPE(ctypes.c_long)(page)()
def put(content):
    ctypes.memmove(data, content, len(content))
    return data
def gate_32(number, b=0, c=0, d=0, s=0, i=0):
    # push rbx; set eax, ebx, ecx, edx, esi, edi; int 0x80; pop rbx; cdqe; ret
    return run(b"\x53" + b"\xb8" + struct.pack("<I", number) + b"\xbb" + struct.pack("<I", b & 0xffffffff)
        + b"\xb9" + struct.pack("<I", c) + b"\xba" + struct.pack("<I", d) + b"\xbe" + struct.pack("<I", s)
        + b"\xbf" + struct.pack("<I", i) + b"\xcd\x80\x5b\x48\x98\xc3")
def x32(number, a=0, b=0, c=0):
    # mov eax, number; mov rdi, rsi, rdx; syscall; ret
    return run(b"\xb8" + struct.pack("<I", number | 0x40000000) + b"\x48\xbf" + struct.pack("<Q", a & (1 << 64) - 1)
        + b"\x48\xbe" + struct.pack("<Q", b) + b"\x48\xba" + struct.pack("<Q", c) + b"\x0f\x05\xc3")
def plain(number, a=0, b=0, c=0):
    return run(b"\xb8" + struct.pack("<I", number) + b"\x48\xbf" + struct.pack("<Q", a & (1 << 64) - 1)
        + b"\x48\xbe" + struct.pack("<Q", b) + b"\x48\xba" + struct.pack("<Q", c) + b"\x0f\x05\xc3")
def answer(result):
    os.write(1, b"42" if result >= 0 else b"refused")
    os._exit(0)
def forked(result):
    if result == 0: os._exit(0)
    answer(result)
"""
)


def _code(name: str, tries: str, code: str) -> Attack:
    return script(f"native_{name}", tries, _CODE + code, machine="x86_64", allowed=FAILS)


ATTACKS = (
    _code("control", "the 64-bit call, as all others: for comparison", "answer(plain(41, 2, 2))"),
    _code(
        "socket_by_gate", "socketcall of the 32-bit table", "answer(gate_32(102, 1, put(struct.pack('<III', 2, 2, 0))))"
    ),
    _code("new_socket_by_gate", "socket of the 32-bit table", "answer(gate_32(359, 2, 2, 0))"),
    _code("fork_by_gate", "fork of the 32-bit table", "forked(gate_32(2))"),
    _code("clone_by_gate", "clone of the 32-bit table", "forked(gate_32(120, 17))"),
    _code("kill_by_gate", "kill of the 32-bit table", "answer(gate_32(37, @PID@, 9))"),
    _code("kill_parent_by_gate", "kill of the 32-bit table", "answer(gate_32(37, os.getppid(), 9))"),
    _code(
        "exec_by_gate",
        "execve of the 32-bit table",
        """
put(b'/bin/echo\\0' + b'42\\0'.rjust(10, b'\\0') + struct.pack('<IIII', data, data + 17, 0, 0))
answer(gate_32(11, data, data + 20, data + 28))
""",
    ),
    _code("ptrace_by_gate", "ptrace of the 32-bit table", "answer(gate_32(26, 16, os.getppid(), 0, 0))"),
    _code("unshare_by_gate", "unshare of the 32-bit table", "answer(gate_32(310, 0x10000000))"),
    _code("chmod_by_gate", "chmod of the 32-bit table", "answer(gate_32(15, put(b'@FOLDER@/public\\0'), 0o777))"),
    _code("memory_file_by_gate", "memfd_create of the 32-bit table", "answer(gate_32(356, put(b'x\\0'), 0))"),
    _code(
        "segment_by_gate",
        "System V through ipc of the 32-bit table",
        "answer(gate_32(117, 23, 0x6B6C6561, 4096, 0o1666))",
    ),
    _code("ring_by_gate", "io_uring_setup, the same number in both", "answer(gate_32(425, 8, put(bytes(256))))"),
    _code(
        "limits_by_gate", "prlimit64 of the 32-bit table", "answer(gate_32(340, os.getppid(), 7, 0, put(bytes(16))))"
    ),
    _code("harmless_call_by_gate", "even getpid: the gate is closed altogether", "answer(gate_32(20))"),
    _code("socket_by_x32", "socket by its x32 number", "answer(x32(41, 2, 2))"),
    _code("fork_by_x32", "fork by its x32 number", "forked(x32(57))"),
    _code("kill_by_x32", "kill by its x32 number", "answer(x32(62, @PID@, 9))"),
    _code("exec_by_x32", "execve by its x32 number", "answer(x32(520, put(b'/bin/echo\\0'), 0, 0))"),
    _code("ptrace_by_x32", "ptrace by its x32 number", "answer(x32(521, 16, os.getppid()))"),
    _code("memory_file_by_x32", "memfd_create by its x32 number", "answer(x32(319, put(b'x\\0')))"),
    _code(
        "signed_number",
        "socket with bits set above the number",
        """
# mov rax, number; mov rdi, 2; mov rsi, 2; xor rdx, rdx; syscall; ret
number, two = struct.pack('<Q', 41 | 1 << 32), struct.pack('<Q', 2)
answer(run(b'\\x48\\xb8' + number + b'\\x48\\xbf' + two + b'\\x48\\xbe' + two + b'\\x48\\x31\\xd2\\x0f\\x05\\xc3'))
""",
    ),
    _code(
        "gate_in_32_bit_segment",
        "jumps into a 32-bit code segment first, and prints from there",
        """
put(b'42')
# getpid; if positive: write(1, data, 2); exit_group(0)
code = (b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\x85\\xc0\\x7e\\x16'
    b'\\xb8\\4\\0\\0\\0\\xbb\\1\\0\\0\\0\\xb9' + struct.pack('<I', data) + b'\\xba\\2\\0\\0\\0\\xcd\\x80'
    b'\\xb8\\xfc\\0\\0\\0\\x31\\xdb\\xcd\\x80')
ctypes.memmove(page + 256, code, len(code))
# mov esp, stack; push 0x23; push page + 256; retfq
run(b'\\xbc' + struct.pack('<I', page + 0x8800) + b'\\x6a\\x23\\x68' + struct.pack('<I', page + 256) + b'\\x48\\xcb')
""",
    ),
)
