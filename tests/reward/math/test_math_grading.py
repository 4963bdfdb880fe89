# SPDX-License-Identifier: Apache-2.0
"""Properties of the grader processes."""

import contextlib
import subprocess
import sys
import threading
import time

import psutil
import pytest

from klear_verl.errors import EnvironmentProblem
from klear_verl.reward.math.pool import MathPool

SLOW = ("\\sum_{k=1}^{1400} \\zeta(k+\\frac13)", "\\boxed{\\sum_{k=1}^{1400} \\zeta(\\frac13+k)}")
"""Seconds of ball arithmetic: as much as an answer can ask for."""


@pytest.fixture(scope="module")
def pool():
    pool = MathPool(workers=1, cpu_s=0.5, wall_s=20.0)
    yield pool
    pool.close()


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("4", "The answer is \\boxed{4}."),
        ("\\boxed{4}", "$4$"),
        ("4", "so it is 4"),
        ("\\frac{1}{2}", "\\boxed{0.5}"),
        ("$\\frac{1}{2}$", "\\boxed{\\frac{2}{4}}"),
        ("1,234", "\\boxed{1234}"),
        ("10%", "\\boxed{10\\%}"),
        ("10\\%", "\\boxed{0.1}"),
        ("10", "\\boxed{10\\%}"),
        ("3\\sqrt{2}", "\\boxed{\\sqrt{18}}"),
        ("(1,2)", "\\boxed{(1, 2)}"),
        ("\\{1,2,3\\}", "\\boxed{3,2,1}"),
        ("-2.5", "\\boxed{-\\frac{5}{2}}"),
    ],
)
def test_equal_values_are_correct_however_written(pool, gold, answer):
    assert pool.grade(gold, answer).outcome == "correct"


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("4", "\\boxed{5}"),
        ("3\\sqrt{2}", "\\boxed{3}"),
        ("4", ""),
        ("4", "I give up"),
        ("4", "4 \\boxed{5}"),
        ("10%", "\\boxed{20\\%}"),
    ],
)
def test_other_values_and_no_value_are_wrong(pool, gold, answer):
    assert pool.grade(gold, answer).outcome == "wrong"


@pytest.mark.parametrize("gold", ["?", "\\frac{", "\\boxed{", "####"])
def test_reference_without_a_mathematical_reading_is_said_to_be_so(pool, gold):
    assert pool.grade(gold, "\\boxed{4}").outcome == "bad_gold"


def test_slow_expression_costs_one_restart_and_the_next_is_graded():
    pool = MathPool(workers=1, cpu_s=0.02)
    try:
        assert pool.grade(*SLOW).outcome == "timeout"
        assert pool.grade("4", "\\boxed{4}").outcome == "correct"
        assert pool.restarts == 1
    finally:
        pool.close()


def test_wall_clock_is_the_backstop():
    pool = MathPool(workers=1, cpu_s=60.0, wall_s=0.2)
    try:
        grade = pool.grade(*SLOW)
        assert (grade.outcome, grade.detail) == ("stalled", "over 0.2 s of wall-clock time")
    finally:
        pool.close()


def test_a_slow_expression_holds_up_no_other_worker():
    pool = MathPool(workers=2, cpu_s=600.0, wall_s=600.0)
    try:
        others = psutil.Process().children()

        def grade_slowly():
            with contextlib.suppress(EnvironmentProblem):  # it may be killed while it starts
                pool.grade(*SLOW)

        slow = threading.Thread(target=grade_slowly)
        slow.start()
        while not (started := [child for child in psutil.Process().children() if child not in others]):
            time.sleep(0.01)
        started[0].suspend()  # as slow as can be
        assert pool.grade("4", "\\boxed{4}").outcome == "correct"
        assert slow.is_alive()
        started[0].kill()
        slow.join()
    finally:
        pool.close()


def test_grading_works_in_threads_other_than_the_main_one(pool):
    outcomes = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(pool.grade("4", "\\boxed{4}").outcome)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["correct"] * 4


def test_worker_that_was_killed_between_gradings_is_a_crash_and_is_replaced():
    pool = MathPool(workers=1)
    try:
        pool.grade("4", "4")
        worker = pool._idle.get()
        worker._process.kill()
        worker._process.wait()
        pool._idle.put(worker)
        assert pool.grade("4", "4").outcome == "crash"
        assert pool.grade("4", "4").outcome == "correct"
    finally:
        pool.close()


def test_closed_pool_says_so():
    pool = MathPool()
    pool.close()
    with pytest.raises(EnvironmentProblem, match="closed"):
        pool.grade("4", "4")


def test_worker_ends_when_its_parent_is_gone():
    code = """
from klear_verl.reward.math.pool import MathPool
pool = MathPool()
pool.grade("4", "4")
print(pool._idle.get()._process.pid)
"""
    worker_pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and _runs(worker_pid):
        time.sleep(0.05)
    assert not _runs(worker_pid)


def test_reward_and_both_scorers_import_neither_torch_nor_ray_nor_verl():
    code = (
        "import sys, klear_verl.reward\n"
        "print([name for name in ('torch', 'ray', 'verl', 'transformers') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
