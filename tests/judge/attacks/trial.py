# SPDX-License-Identifier: Apache-2.0
"""One attack, or one honest program, tried on a judge: its verdicts, and what the judge did wrong."""

from __future__ import annotations

import importlib.util
import platform
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from klear_verl.judge import Judge, JudgeConfig, Judgement, Limits, Problem, StdioTest, Verdict
from tests.judge.attacks.battery import ATTACKS
from tests.judge.attacks.battery.attack import Attack
from tests.judge.attacks.outside import Outside
from tests.judge.idioms.honest import IDIOMS
from tests.judge.idioms.honest.idiom import Idiom

Granularity = Literal["test", "solution"]
GRANULARITIES: tuple[Granularity, ...] = ("test", "solution")

SHORT = Limits(cpu_s=0.5, wall_s=1.0, memory_mib=192, stdout_mib=1)
_STILL_WORKS = Problem(id="still works", tests=(StdioTest(input="", output="42"),))
_LONGEST_S = 20.0
"""More than any of these should take: above it, the judge has hung."""


@dataclass(frozen=True)
class Trial:
    """`flaws` has a line for everything that the judge did wrong: none, if it is sound. `documented`: an attack was
    accepted that needs one test of a solution to be kept from another, where that is not promised.
    """

    verdicts: tuple[Verdict, ...]
    flaws: tuple[str, ...]
    documented: bool = False


def judge_for_attacks(granularity: Granularity) -> Judge:
    """Limits so short that the battery takes a minute."""
    return Judge(JudgeConfig(limits=SHORT, granularity=granularity))


def judge_for_idioms(granularity: Granularity) -> Judge:
    """The limits that users have."""
    return Judge(JudgeConfig(granularity=granularity))


def attacks() -> Iterator[tuple[str, Attack]]:
    """All attacks that this machine's architecture has, with their classes."""
    for group, members in ATTACKS.items():
        yield from ((group, attack) for attack in members if attack.machine in ("", platform.machine()))


def idioms() -> Iterator[tuple[str, Idiom]]:
    """All idioms whose modules are installed, with their groups."""
    for group, members in IDIOMS.items():
        yield from ((group, idiom) for idiom in members if not idiom.needs or importlib.util.find_spec(idiom.needs))


def try_attack(judge: Judge, attack: Attack, outside: Outside) -> Trial:
    """Runs an attack, and looks at the outside afterwards."""
    started = time.monotonic()
    for problem, source in attack.steps:
        judgement = _run(judge, problem, outside.fill(source))
    took_s = time.monotonic() - started
    flaws = outside.harm()
    wrong = set(judgement.verdicts) - attack.allowed
    documented = attack.between_tests and judge.config.granularity == "solution" and wrong == {Verdict.AC}
    if wrong and not documented:
        flaws.append(f"verdicts {', '.join(judgement.verdicts)}: {judgement.detail}")
    if took_s > _LONGEST_S:
        flaws.append(f"took {took_s:.1f} s")
    return Trial(judgement.verdicts, tuple(flaws), documented)


def still_works(judge: Judge) -> str:
    """Why this judge no longer accepts a trivial program; "" if it does."""
    judgement = _run(judge, _STILL_WORKS, "print(42)")
    return "" if judgement.acc else f"the judge no longer works: {judgement.detail}"


def try_idiom(judge: Judge, idiom: Idiom) -> Trial:
    """Runs an honest program."""
    judgement = _run(judge, idiom.problem, idiom.source)
    flaws = () if judgement.acc else (f"verdicts {', '.join(judgement.verdicts)}: {judgement.detail}",)
    return Trial(judgement.verdicts, flaws)


def _run(judge: Judge, problem: Problem, source: str) -> Judgement:
    """An exception of the judge is the worst of its failures: it is counted as one, so that the others still run."""
    try:
        return judge.run(problem, source)
    except Exception as error:  # becomes a failed verdict, told with its place
        where = traceback.format_exc(limit=-1).splitlines()[1].strip()
        detail = f"the judge raised {type(error).__name__}: {error} ({where})"
        return Judgement((Verdict.IE,) * len(problem.tests), None, None, judge.layers, detail=detail)
