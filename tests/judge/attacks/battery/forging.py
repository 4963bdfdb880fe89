# SPDX-License-Identifier: Apache-2.0
"""Forged messages: writing to the judge's own channels what a passed test would write."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import ANY, KEY, asserts, function, pytests, script

_CHECK = "assert f(2) == 4\nassert f(3) == 9"
_MODULE = "def test_two():\n    assert f(2) == 4"

# Every frame that this judge ever had, and those one would guess, on every descriptor.
_FRAMES = r"""
import json, os, struct
bodies = [b"C", b"CT" + bytes(16), b"T" + bytes(16), b"T", b"D", b"V42", b"CV42", b"V", b"W", b"OK", b"AC", b"0", b"42",
    b'{"status": 0, "reason": "exit", "cpu_s": 0, "wall_s": 0, "peak_mib": 1, "leftovers": 0}',
    b'{"verdict": "AC"}', b'{"verdicts": ["AC"], "pass_rate": 1.0, "acc": true}', b'{"ok": true}', b"true", b"null",
    json.dumps(["return", 42]).encode(), json.dumps({"value": 42}).encode(), b"[]", b"{}"]
frames = bodies + [struct.pack("<I", len(b)) + b for b in bodies] + [struct.pack(">I", len(b)) + b for b in bodies]
def forge():
    for fd in range(3, 256):
        try:
            os.set_blocking(fd, False)
        except OSError:
            continue
        for frame in frames:
            try:
                os.write(fd, frame)
            except OSError:
                break
"""
_IN_F = _FRAMES + "def f(*a):\n    forge()\n    os._exit(0)"

_EACH = """
import os, struct
def tell(*messages):
    for fd in range(3, 64):
        for message in messages:
            try:
                os.write(fd, message)
            except OSError:
                break
"""
_LINE = {
    "done": _EACH + "tell(b'd')\nprint(41)",
    "done_and_spins": _EACH + "tell(b'd')\nwhile True: pass",
    "done_and_dies": _EACH + "tell(b'd')\nos._exit(1)",
    "done_many_times": _EACH + "tell(*[b'd'] * 9)\nprint(41)",
    "done_without_end": _EACH + "while True: tell(b'd')",
    "last": _EACH + "tell(b'x')\nprint(41)",
    "last_and_spins": _EACH + "tell(b'x')\nwhile True: pass",
    "hello": _EACH + "tell(b'h', b'h')\nprint(41)",
    "ended": _EACH + "tell(struct.pack('<ciddI', b'D', 0, 0.0, 0.0, 0))\nprint(41)",
    "ended_and_spins": _EACH + "tell(struct.pack('<ciddI', b'D', 0, 0.0, 0.0, 0))\nwhile True: pass",
    "failed": _EACH + "tell(b'Iour own machinery failed')\nprint(41)",
    "noise": _EACH + "tell(b'zz', b'\\0' * 99, b'\\xff' * 4096)\nprint(41)",
    "hang_up": "import os\nos.closerange(3, 64)\nprint(41)",
    "hang_up_and_spins": "import os\nos.closerange(3, 64)\nwhile True: pass",
    "half_hang_up": """
import os, socket
for fd in range(3, 64):
    try: socket.socket(fileno=fd).shutdown(socket.SHUT_RDWR)
    except OSError: pass
print(41)
""",
    "takes_the_next_message": """
import os
for fd in range(3, 64):
    try:
        os.set_blocking(fd, False)
        os.read(fd, 99)
    except OSError: pass
print(41)
""",
    "thread_goes_on": """
import os, threading
def go():
    while True:
        for fd in range(3, 9):
            try: os.write(fd, b'd')
            except OSError: pass
threading.Thread(target=go, daemon=True).start()
print(41)
""",
}

ATTACKS = (
    script("forge_frames_in_script", "success frames on every descriptor", _FRAMES + "forge()"),
    script("forge_frames_then_leave", "success frames, then status 0", _FRAMES + "forge()\nos._exit(0)"),
    function("forge_frames_in_call", "a frame with a value of its own, in a call", _IN_F, expected=KEY),
    asserts("forge_frames_in_assert", "a frame that says the asserts have passed", _IN_F, _CHECK),
    pytests("forge_frames_in_pytest", "a frame that says the tests have passed", _IN_F, _MODULE),
    asserts("forge_frames_at_import", "the same, before the test is there", _FRAMES + "forge()\nos._exit(0)", _CHECK),
    asserts(
        "forge_frames_and_go_on",
        "frames before the true answer, so that the judge reads the forged one as its",
        _FRAMES + "def f(x):\n    forge()\n    return 0",
        _CHECK,
    ),
    asserts(
        "echo_every_descriptor",
        "sends back whatever can be read, in case it is the secret that completion takes",
        """
import os
def f(x):
    for source in range(3, 64):
        try:
            os.set_blocking(source, False)
            data = os.pread(source, 1 << 16, 0) if os.fstat(source).st_size else os.read(source, 1 << 16)
        except OSError:
            continue
        for target in range(3, 64):
            for frame in (data, b"T" + data[:16], b"CT" + data[:16], data[:16], data[:32]):
                try:
                    os.set_blocking(target, False)
                    os.write(target, frame)
                except OSError:
                    break
    os._exit(0)
""",
        _CHECK,
    ),
    asserts(
        "forge_report_of_the_tester",
        "writes success into the files that the processes beside it hold open, until one of them counts",
        """
import os, threading, time
def write_all():
    me, held = int(os.readlink("/proc/self")), []
    for pid in (*range(me - 6, me), *range(me + 1, me + 9)):
        for fd in range(64):
            try:
                held.append(os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR | os.O_NONBLOCK))
            except OSError:
                pass
    while held:
        for fd in held:
            try:
                os.pwrite(fd, b"P", 0)
            except OSError:
                held.remove(fd)
                break
def f(x):
    threading.Thread(target=write_all, daemon=True).start()
    time.sleep(0.1)
    return 0
""",
        _CHECK,
    ),
    script(
        "forge_reply_over_sockets",
        "the runner's reply to the supervisor, on whatever socket was inherited",
        r"""
import json, os, socket
reply = json.dumps({"status": 0, "reason": "exit", "cpu_s": 0.0, "wall_s": 0.0, "peak_mib": 1, "leftovers": 0,
    "stdout": "42"}).encode()
for fd in range(256):
    for kind in (socket.SOCK_SEQPACKET, socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            held = socket.socket(socket.AF_UNIX, kind, fileno=os.dup(fd))
            held.setblocking(False)
            held.send(reply)
        except OSError:
            pass
""",
    ),
    script(
        "flood_every_descriptor",
        "megabytes of noise on the judge's channels",
        r"""
import os
for fd in range(2, 256):
    try:
        os.set_blocking(fd, False)
        for _ in range(64):
            os.write(fd, os.urandom(1 << 16))
    except OSError:
        pass
""",
        allowed=ANY,
    ),
    function(
        "flood_then_answer",
        "noise before the true value: the value must not be taken from it",
        "import os\ndef f():\n    for fd in range(3, 64):\n        try:\n            os.set_blocking(fd, False)\n"
        "            os.write(fd, b'[[[[' * 1000)\n        except OSError:\n            pass\n    return 41",
        allowed=ANY,
    ),
    script(
        "join_channels",
        "puts its standard output in the place of every other descriptor, and the other way round",
        """
import os
for fd in range(3, 256):
    try:
        os.fstat(fd)
        os.dup2(1, fd)
    except OSError:
        pass
os.write(1, b'C')
""",
    ),
    function(
        "value_of_another_channel",
        "the result printed on standard output, in every encoding one would guess",
        """
import os
def f():
    for text in (b'42', b'V42', b'CV42'):
        os.write(1, text)
        os.write(2, text)
    os._exit(0)
""",
    ),
    function(
        "deep_forged_value",
        "a frame that takes the decoder down",
        "import os\ndef f():\n    for fd in range(3, 64):\n        try:\n            os.set_blocking(fd, False)\n"
        "            os.write(fd, b'V' + b'[' * 60000)\n        except OSError:\n            pass\n    os._exit(0)",
    ),
    *(
        script(
            f"forge_line_{name}",
            "messages about the end of a test, on whatever line there is to the judge",
            code,
            tests=3,
            allowed=ANY,
        )
        for name, code in _LINE.items()
    ),
)
