# SPDX-License-Identifier: Apache-2.0
"""Each verdict, and the arithmetic of a judgement."""

from __future__ import annotations

import pytest

from klear_verl.judge import Judge, JudgeConfig, Judgement, Limits, Problem, StdioTest, Verdict

BURN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\nprint(42)"


def echo(count: int, **changes: object) -> Problem:
    tests = tuple(StdioTest(input=f"{row}\n", output=f"{row}\n") for row in range(count))
    return Problem.model_validate({"id": "echo", "tests": tests, **changes})


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("print(42)", Verdict.AC),
        ("print(43)", Verdict.WA),
        ("", Verdict.WA),
        ("while True: pass", Verdict.TLE),
        ("import time; time.sleep(60)", Verdict.TLE),
        ("x = [0] * 10**10", Verdict.MLE),
        ("x = []\nwhile True: x.append(bytearray(1 << 20))", Verdict.MLE),
        ("1 / 0", Verdict.RE),
        ("print(42); raise SystemExit(3)", Verdict.RE),
        ("print(42); exit('message')", Verdict.RE),
        ("print(42, flush=True); import os; os._exit(1)", Verdict.RE),
        ("import ctypes; ctypes.string_at(0)", Verdict.RE),
        ("print('x' * (2 << 20))", Verdict.OLE),
        ("def", Verdict.CE),
        ("print(42)\0", Verdict.CE),
        ("print('\ud800')", Verdict.CE),
        ("#" * (2 << 20), Verdict.CE),
        ("return 42", Verdict.CE),
    ],
)
def test_verdict_of_a_program_that_should_print_42(strict_judge: Judge, source: str, verdict: Verdict) -> None:
    judgement = strict_judge.run(Problem(id="v", tests=(StdioTest(input="", output="42"),)), source)
    assert judgement.verdicts == (verdict,), judgement.detail
    assert bool(judgement.detail) == (verdict is not Verdict.AC)


def test_pass_rate_is_accepted_tests_over_all(judge: Judge) -> None:
    judgement = judge.run(echo(4), "n = int(input())\nprint(n if n else 'no')")
    assert (judgement.pass_rate, judgement.acc) == (0.75, False)
    assert judgement.verdicts == (Verdict.WA, Verdict.AC, Verdict.AC, Verdict.AC)
    assert judgement.detail.startswith("test 0: WA")


def test_program_that_does_not_compile_fails_every_test(judge: Judge) -> None:
    assert judge.run(echo(3), "def").verdicts == (Verdict.CE,) * 3


def test_untested_cases_count_as_time_outs_after_the_configured_number() -> None:
    config = JudgeConfig(limits=Limits(cpu_s=0.1, wall_s=1), stop_after_timeouts=2)
    with Judge(config) as judge:
        judgement = judge.run(echo(10), "n = int(input())\nwhile n % 2: pass\nprint(n)")
    assert judgement.verdicts == (Verdict.AC, Verdict.TLE, Verdict.AC, Verdict.TLE, *[Verdict.TLE] * 6)
    assert "6 tests not run" in judgement.detail
    assert judgement.usage.cpu_s < 1


@pytest.mark.parametrize(("burnt_s", "verdict"), [(0.25, Verdict.AC), (0.45, Verdict.TLE)])
def test_cpu_limit_is_precise_below_a_second(judge: Judge, burnt_s: float, verdict: Verdict) -> None:
    problem = Problem(id="t", tests=(StdioTest(input="", output="42"),), time_limit_s=0.35)
    assert judge.run(problem, BURN.format(burnt_s)).verdicts == (verdict,)


def test_problem_overrides_the_number_of_tests(judge: Judge) -> None:
    assert len(judge.run(echo(40), "print(input())").verdicts) == 16
    assert len(judge.run(echo(40, max_tests=3), "print(input())").verdicts) == 3
    assert len(judge.run(echo(40, max_tests=40), "print(input())").verdicts) == 40


def test_usage_is_summed_over_tests(judge: Judge) -> None:
    usage = judge.run(echo(3), BURN.format(0.05)).usage
    assert 0.15 <= usage.cpu_s < 0.4
    assert usage.wall_s >= usage.cpu_s / 2
    assert 5 < usage.peak_memory_mib < 100


def test_judgement_names_the_active_layers(judge: Judge) -> None:
    judgement: Judgement = judge.run(echo(1), "print(input())")
    assert judgement.layers == judge.layers
    assert {"no_new_privs", "rlimits", "clean_env"} <= set(judgement.layers)
