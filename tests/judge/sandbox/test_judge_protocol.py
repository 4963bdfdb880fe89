# SPDX-License-Identifier: Apache-2.0
"""Whatever a program writes to the descriptors it has, the supervisor neither crashes nor hangs, nor takes it for more
than a value.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from klear_verl.judge import AssertTest, CallTest, Judge, JudgeConfig, Limits, Problem, StdioTest, Verdict
from klear_verl.judge.sandbox.zygote import wire

EACH = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FRAMES = st.lists(st.binary(min_size=1, max_size=64) | st.sampled_from([b"d", b"x", b"h", b"D" * 29]), max_size=6)


@pytest.fixture(scope="module")
def sequential() -> Iterator[Judge]:
    with Judge(JudgeConfig(limits=Limits(cpu_s=0.5, wall_s=1.5), granularity="solution")) as judge:
        yield judge


@given(frames=FRAMES)
@EACH
def test_frames_on_the_socket_of_a_sequential_child_are_no_verdicts(sequential: Judge, frames: list[bytes]) -> None:
    problem = Problem(id="x", tests=tuple(StdioTest(input="", output="42") for _ in range(3)))
    source = f"import os\nfor frame in {frames!r}: os.write(4, frame)"
    judgement = sequential.run(problem, source)
    assert not {Verdict.AC, Verdict.IE} & set(judgement.verdicts), judgement


@given(data=st.binary(max_size=200) | st.binary(max_size=50).map(lambda data: b"V" + data))
@EACH
def test_bytes_in_the_file_of_a_call_are_read_as_a_value(strict_judge: Judge, data: bytes) -> None:
    problem = Problem(id="x", tests=(CallTest(args=[], expected={"never": ["this"]}),), entry_point="f")
    judgement = strict_judge.run(problem, f"import os\nos.ftruncate(3, 0)\nos.pwrite(3, {data!r}, 0)\nos._exit(0)")
    assert judgement.verdicts[0] in (Verdict.WA, Verdict.RE), judgement


@given(data=st.binary(max_size=200))
@EACH
def test_bytes_on_the_connection_to_a_tester_pass_no_test(strict_judge: Judge, data: bytes) -> None:
    problem = Problem(id="x", tests=(AssertTest(code="assert f(1) == 2"),))
    source = f"import os, struct\nos.write(3, struct.pack('<I', {len(data)}) + {data!r})\nos.write(3, {data!r})"
    judgement = strict_judge.run(problem, source)
    assert judgement.verdicts[0] in (Verdict.WA, Verdict.RE, Verdict.TLE), judgement


@given(data=st.binary(max_size=300), framed=st.booleans())
@settings(max_examples=200, deadline=None)
def test_connection_ends_or_answers_whatever_arrives(data: bytes, framed: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = wire.Connection(
            ours.fileno(), lambda value: ["object"], lambda body: RuntimeError(str(body)), lambda request: 1
        )
        threading.Thread(target=drain, args=(os.dup(theirs.fileno()),), daemon=True).start()
        theirs.sendall(struct.pack("<I", len(data)) + data if framed else data)
        theirs.shutdown(socket.SHUT_WR)
        with contextlib.suppress(wire.HungUp, RuntimeError):
            connection.ask("name", "f")


def drain(fd: int) -> None:
    with open(fd, "rb") as file, contextlib.suppress(ConnectionResetError):
        while file.read(4096):
            pass


def test_program_that_keeps_asking_for_processes_is_ended(strict_judge: Judge) -> None:
    source = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    judgement = strict_judge.run(Problem(id="x", tests=(StdioTest(input="", output=""),)), source)
    assert judgement.verdicts == (Verdict.RE,)
    assert "signal 9" in judgement.detail
