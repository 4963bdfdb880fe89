# SPDX-License-Identifier: Apache-2.0
"""Things that are known only by doing them: importing verl with our plugin, importing vLLM, judging a program,
grading a formula.

Imports run in processes of their own, with the environment our commands set, and every probe is bounded.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from klear_verl.cpu import environment
from klear_verl.doctor.finding import Finding, from_error
from klear_verl.errors import KlearError

PROBE_S = 90.0
_PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])

_PLUGIN = """
import klear_verl.plugin
klear_verl.plugin.verify()
from verl.plugin.platform import get_platform
print("RESULT", get_platform().device_name)
"""
_VLLM = """
import vllm
from vllm.platforms import current_platform
import vllm.v1.engine.async_llm
print("RESULT", vllm.__version__, "for", current_platform.device_type)
"""


def check_plugin() -> list[Finding]:
    """Loss, reward manager and trainer, asked of verl's registries; and the platform that verl chose."""
    names = "loss gppo, reward manager klear, trainer klear_sync"
    remedy = "reinstall klear-verl beside verl==0.9.1 in one environment; the message above is the cause"
    result, trouble, seconds = _run(_PLUGIN)
    if result is None:
        return [Finding("plugin", "FAIL", trouble, remedy)]
    wanted = "cpu" if environment.on_cpu() else "an accelerator"
    fits = (result == "cpu") == environment.on_cpu()
    platform = (
        Finding("platform", "ok", f"{result}")
        if fits
        else Finding(
            "platform", "FAIL", f"verl chose '{result}', this machine has {wanted}", "set VERL_PLATFORM, or unset it"
        )
    )
    return [Finding("plugin", "ok", f"registered with verl: {names} ({seconds:.0f} s)"), platform]


def check_vllm() -> Finding:
    """vLLM's engine can be imported here."""
    result, trouble, seconds = _run(_VLLM)
    if result is None:
        return Finding("vllm import", "FAIL", trouble, "install the vLLM build of this platform (docs: installation)")
    return Finding("vllm import", "ok", f"{result} ({seconds:.0f} s)")


def check_judge() -> list[Finding]:
    """The judge starts, judges a program, and says which layers of isolation hold."""
    from klear_verl.judge import Judge, Problem, StdioTest
    from klear_verl.judge.sandbox import layers

    problem = Problem(id="doctor", tests=(StdioTest(input="21\n", output="42\n"),))
    started = time.monotonic()
    try:
        with Judge() as judge:
            judgement = judge.run(problem, "print(2 * int(input()))")
            active, reasons = judge.layers, judge.reasons
    except KlearError as error:
        return [from_error("judge", error)]
    if not judgement.acc:
        return [
            Finding(
                "judge", "FAIL", f"a correct program was judged {judgement.verdicts}: {judgement.detail}", "report this"
            )
        ]
    seconds = time.monotonic() - started
    findings = [Finding("judge", "ok", f"layers: {', '.join(active)} ({seconds:.1f} s)")]
    findings += [
        Finding(f"judge layer {name}", "warn", reasons.get(name, "does not hold here"), remedy)
        for name, remedy in layers.REMEDIES.items()
        if name not in active
    ]
    return findings


def check_math() -> Finding:
    """A grader process starts and grades 1/2 against 0.5."""
    from klear_verl.reward.math.pool import MathPool

    started = time.monotonic()
    pool = MathPool()
    try:
        grade = pool.grade(r"\frac{1}{2}", "The answer is $0.5$.")
    except KlearError as error:
        return from_error("math grader", error)
    finally:
        pool.close()
    seconds = time.monotonic() - started
    if grade.outcome != "correct":
        found = f"1/2 against 0.5 was graded '{grade.outcome}' {grade.detail}"
        return Finding("math grader", "FAIL", found, "pip install python-flint==0.9.0")
    return Finding("math grader", "ok", f"grades in a worker process ({seconds:.1f} s)")


def _run(code: str) -> tuple[str | None, str, float]:
    """Runs code in a fresh interpreter: (what it said after RESULT, or None; what went wrong; seconds)."""
    path = os.pathsep.join(filter(None, (_PACKAGE_PARENT, os.environ.get("PYTHONPATH", ""))))
    variables = environment.variables() | dict(os.environ) | {"PYTHONPATH": path}
    started = time.monotonic()
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, env=variables, check=False)
    except subprocess.TimeoutExpired:
        return None, f"no answer within {PROBE_S:.0f} s", PROBE_S
    seconds = time.monotonic() - started
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return line.removeprefix("RESULT "), "", seconds
    return None, causes(done.stderr) or f"exit status {done.returncode} and no message", seconds


def causes(stderr: str) -> str:
    """The exception lines of a traceback, the first cause first, without the frames."""
    lines = stderr.splitlines()
    found: list[str] = []
    for number, line in enumerate(lines):
        if line.startswith("Traceback (most recent call last)"):
            ends = (later for later in lines[number + 1 :] if later and not later.startswith((" ", "Traceback")))
            found += [end for end in [next(ends, "")] if end and end not in found]
    return "\n".join(found) if found else "\n".join(lines[-3:])
