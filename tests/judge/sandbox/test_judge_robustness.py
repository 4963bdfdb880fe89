# SPDX-License-Identifier: Apache-2.0
"""The judge's own life: threads, event loops, dying zygotes, missing layers, closing. Our failures are IE, never a
wrong answer.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from klear_verl.errors import DataError, EnvironmentProblem
from klear_verl.judge import CallTest, Judge, JudgeConfig, Limits, Problem, StdioTest, Verdict
from klear_verl.judge.sandbox import layers, seccomp
from klear_verl.judge.sandbox.kernel import children
from klear_verl.judge.sandbox.supervisor import SandboxFailure, Zygote

ECHO = Problem(id="echo", tests=tuple(StdioTest(input=f"{row}\n", output=f"{row}\n") for row in range(4)))
SLEEP = "import time; time.sleep(0.3); print(input())"
ONE = Problem(id="one", tests=ECHO.tests[:1])


def zygotes_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"zygote" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # ended meanwhile
    return found


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_many_threads_share_few_slots_and_each_gets_its_own_answer() -> None:
    with Judge(JudgeConfig(slots=2)) as judge, ThreadPoolExecutor(8) as pool:
        sources = [f"n = int(input())\nprint(n if n < {row % 5} else -1)" for row in range(24)]
        rates = list(pool.map(lambda source: judge.run(ECHO, source).pass_rate, sources))
    assert rates == [(row % 5) / 4 for row in range(24)]


def test_waiting_for_a_slot_counts_against_no_limit() -> None:
    """The last of them waits for longer than its program may run."""
    config = JudgeConfig(slots=1, limits=Limits(cpu_s=1, wall_s=2))
    with Judge(config) as judge, ThreadPoolExecutor(8) as pool:
        judgements = list(pool.map(lambda _: judge.run(ONE, SLEEP), range(8)))
    assert all(judgement.acc for judgement in judgements)


def test_arun_runs_up_to_slots_at_once() -> None:
    sleep_s = 1.5

    async def both(judge: Judge, source: str) -> float:
        started = time.monotonic()
        judgements = await asyncio.gather(judge.arun(ONE, source), judge.arun(ONE, source))
        assert all(judgement.acc for judgement in judgements)
        return time.monotonic() - started

    with Judge(JudgeConfig(slots=2)) as judge:
        asyncio.run(both(judge, "print(input())"))  # starts the second zygote
        assert asyncio.run(both(judge, f"import time; time.sleep({sleep_s}); print(input())")) < 2 * sleep_s


def test_zygote_killed_from_outside_costs_a_retry_only() -> None:
    with Judge() as judge:
        (zygote,) = zygotes_of(os.getpid())[-1:]
        threading.Timer(0.15, os.kill, (zygote, signal.SIGKILL)).start()
        judgement = judge.run(ONE, SLEEP)
    assert judgement.acc, judgement.detail


def test_zygote_that_always_dies_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def die(*_: object) -> None:
        calls.append(1)
        raise SandboxFailure("on purpose")

    with Judge(JudgeConfig(ie_retries=2)) as judge:
        monkeypatch.setattr(Zygote, "start_solution_process", die)
        judgement = judge.run(ECHO, "print(input())")
    assert judgement.verdicts == (Verdict.IE,) * 4
    assert (judgement.pass_rate, judgement.acc, len(calls)) == (None, None, 3)
    assert "on purpose" in judgement.detail


def test_solution_process_killed_from_outside_costs_a_retry_only() -> None:
    with Judge() as judge:
        watched = threading.Thread(target=kill_a_solution_process, args=(judge,))
        watched.start()
        judgement = judge.run(ONE, SLEEP)
        watched.join()
    assert judgement.acc and judgement.retries >= 1, judgement


def kill_a_solution_process(judge: Judge) -> None:
    """Kills what the zygote forked. Where there are namespaces, the zygote is two processes, of which the second
    forks.
    """
    time.sleep(0.15)
    deadline = time.monotonic() + 5
    generation = [pid for zygote in judge.zygotes.values() if (pid := zygote.pid)]
    if "pid_namespace" in judge.layers:
        generation = [child for pid in generation for child in children(pid)]
    while time.monotonic() < deadline:
        for solution_process in (child for pid in generation for child in children(pid)):
            os.kill(solution_process, signal.SIGKILL)
            return


def test_missing_required_layer_refuses_to_start_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "compiled", lambda: ())
    with pytest.raises(EnvironmentProblem, match="seccomp") as caught:
        Judge(JudgeConfig(require=("rlimits", "seccomp")))
    assert "pip install pyseccomp" in caught.value.remedy
    with Judge(JudgeConfig(require=())) as judge:
        assert "seccomp" not in judge.layers


def test_unknown_required_layer_is_named() -> None:
    with pytest.raises(EnvironmentProblem, match="moat"):
        Judge(JudgeConfig(require=("moat",)))


def test_probe_sees_a_dirty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from klear_verl.judge.sandbox import supervisor

    monkeypatch.setattr(supervisor, "ENVIRONMENT", {**supervisor.ENVIRONMENT, "API_KEY": "x"})
    with pytest.raises(EnvironmentProblem, match="clean_env"):
        Judge()


def test_zygote_that_can_not_start_is_an_environment_problem() -> None:
    zygote = Zygote(dataclasses.replace(layers.zygote_setup(), preload=("no_such_module",)))
    with pytest.raises(EnvironmentProblem, match="no_such_module"):
        zygote.start()


def test_zygote_loads_nothing_heavy() -> None:
    heavy = ["pydantic", "torch", "numpy", "ray", "klear_verl", "pyseccomp", "asyncio"]
    source = f"import sys\nprint(sorted(set({heavy}) & set(sys.modules)))"
    with Judge() as judge:
        judgement = judge.run(Problem(id="m", tests=(StdioTest(input="", output="[]"),)), source)
    assert judgement.acc, judgement.detail


def test_close_is_idempotent_and_leaves_no_process_descriptor_or_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = descriptors(), zygotes_of(os.getpid())
    judge = Judge(JudgeConfig(slots=2, limits=Limits(cpu_s=0.2, wall_s=0.5)))
    for source in ("print(input())", "while True: pass", "import os; os._exit(1)", "def", "print('x' * 10**8)"):
        judge.run(ONE, source)
    judge.close()
    judge.close()
    assert (descriptors(), zygotes_of(os.getpid())) == before
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="closed"):
        judge.run(ONE, "print(input())")


def test_killed_supervisor_leaves_no_zygote_and_no_folder(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom klear_verl.judge.judge import Judge\nfrom klear_verl.judge.problem import *\n"
        "judge = Judge()\nprint('up', flush=True)\n"
        "judge.run(Problem(id='x', tests=(StdioTest(input='', output=''),)), 'import time; time.sleep(60)')"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None and process.stdout.readline() == b"up\n"
    time.sleep(0.1)
    (zygote,) = zygotes_of(process.pid)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 120
    while Path(f"/proc/{zygote}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{zygote}").exists()
    assert list(tmp_path.iterdir()) == []


def test_verdicts_are_the_same_on_an_overloaded_machine() -> None:
    # Sessions of their own, because Linux shares processors fairly between sessions (autogroup), and the zygote has
    # one.
    burners = [
        subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"], start_new_session=True)
        for _ in range(4 * len(os.sched_getaffinity(0)))
    ]
    try:
        with Judge(JudgeConfig(limits=Limits(cpu_s=0.6, wall_s=0.6))) as judge:
            source = (
                "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nprint(input())"
            )
            judgement = judge.run(ONE, source)
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    assert judgement.usage.wall_s > 0.6, "the machine was not overloaded"
    assert judgement.acc, judgement.detail


def test_problem_that_can_not_be_run_is_a_data_error() -> None:
    with Judge() as judge, pytest.raises(DataError, match="entry_point"):
        judge.run(Problem(id="c", tests=(CallTest(args=[], expected=1),)), "def f(): return 1")
