# SPDX-License-Identifier: Apache-2.0
"""A solution is judged as ever while a hostile one runs beside it, and hears nothing from it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from klear_verl.judge import Judge, JudgeConfig, Problem, StdioTest
from tests.judge.attacks.battery.neighbours import NEIGHBOURS, Neighbours
from tests.judge.attacks.trial import SHORT

_LOUD = Problem(id="loud", tests=(StdioTest(input="", output="42"),))
_QUIET = Problem(id="quiet", tests=(StdioTest(input="", output="ok"),) * 3)


@pytest.fixture(scope="module")
def two_slots() -> Iterator[Judge]:
    with Judge(JudgeConfig(slots=2, limits=SHORT)) as judge:
        yield judge


@pytest.mark.parametrize("pair", NEIGHBOURS, ids=lambda pair: pair.name)
def test_honest_program_beside_a_hostile_one_is_accepted(two_slots: Judge, pair: Neighbours) -> None:
    ended = threading.Event()
    verdicts: list[str] = []

    def be_loud() -> None:
        while not ended.is_set():
            verdicts.extend(two_slots.run(_LOUD, pair.loud).verdicts)

    thread = threading.Thread(target=be_loud)
    thread.start()
    try:
        judgements = [two_slots.run(_QUIET, pair.quiet) for _ in range(2)]
    finally:
        ended.set()
        thread.join()
    assert [judgement.verdicts for judgement in judgements] == [("AC",) * 3] * 2, judgements
    assert not {"AC", "IE"} & set(verdicts)
