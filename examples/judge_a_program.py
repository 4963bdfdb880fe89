# SPDX-License-Identifier: Apache-2.0
"""The judge in twenty lines: an untrusted program against three tests, isolated, with a verdict for each.

python examples/judge_a_program.py
"""

from klear_verl.judge import Judge, JudgeConfig, Problem, StdioTest

TESTS = {"1\n": "2\n", "4\n": "8\n", "5\n": "10\n"}
PROBLEM = Problem(id="double", tests=tuple(StdioTest(input=given, output=wanted) for given, wanted in TESTS.items()))
SOURCE = """
n = int(input())
print(2 * n if n < 5 else 2 * n + 1)  # wrong from 5 on
"""

if __name__ == "__main__":
    with Judge(JudgeConfig()) as judge:
        judgement = judge.run(PROBLEM, SOURCE)
    print(f"verdicts: {' '.join(judgement.verdicts)}")
    print(f"pass rate: {judgement.pass_rate:.2f}, all passed: {judgement.acc}")
    print(f"first failure: {judgement.detail}")
    print(f"isolation: {', '.join(judgement.layers)}")
