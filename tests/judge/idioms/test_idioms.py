# SPDX-License-Identifier: Apache-2.0
"""Every honest program is accepted, at both granularities."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from klear_verl.judge import Judge, Problem, StdioTest
from tests.judge.attacks.trial import GRANULARITIES, idioms, judge_for_idioms, try_idiom
from tests.judge.idioms.honest.beyond import BEYOND
from tests.judge.idioms.honest.idiom import Idiom


@pytest.fixture(scope="module", params=GRANULARITIES)
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    with judge_for_idioms(request.param) as shared:
        yield shared


@pytest.mark.parametrize("idiom", [pytest.param(idiom, id=f"{group}-{idiom.name}") for group, idiom in idioms()])
def test_honest_program_is_accepted(judge: Judge, idiom: Idiom) -> None:
    assert try_idiom(judge, idiom).flaws == ()


def test_random_numbers_and_the_order_of_sets_repeat_from_run_to_run(judge: Judge) -> None:
    source = "import random\nprint(random.random(), list({'a', 'b', 'c', 'd'}), hash('x'))"
    problem = Problem(id="r", tests=(StdioTest(input="", output="unknown"),))
    assert judge.run(problem, source).detail == judge.run(problem, source).detail


@pytest.mark.parametrize(
    "idiom",
    # Documented limits of the judge; strict, so that the day one works its test fails and the page is mended.
    [pytest.param(idiom, id=idiom.name, marks=pytest.mark.xfail(reason=why, strict=True)) for why, idiom in BEYOND],
)
def test_documented_limit(judge: Judge, idiom: Idiom) -> None:
    assert try_idiom(judge, idiom).flaws == ()
