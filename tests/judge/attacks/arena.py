# SPDX-License-Identifier: Apache-2.0
"""Where pytest tries attacks: a judge, an outside, and a watch over what both leave when they are gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from _pytest.mark import ParameterSet

from klear_verl.judge import Judge
from tests.judge.attacks.battery import ATTACKS
from tests.judge.attacks.battery.attack import Attack
from tests.judge.attacks.machine import MOST_GROWTH_MIB, MachineWatch
from tests.judge.attacks.outside import Outside
from tests.judge.attacks.trial import Granularity, attacks, judge_for_attacks, still_works, try_attack


class Arena:
    """One for all attacks of a test module."""

    def __init__(self, judge: Judge, outside: Outside):
        self._judge = judge
        self._outside = outside

    def flaws(self, attack: Attack) -> tuple[str, ...]:
        """What the judge does wrong with this attack, and whether it has become useless."""
        flaws = try_attack(self._judge, attack, self._outside).flaws
        broken = still_works(self._judge)
        return (*flaws, broken) if broken else flaws


@contextmanager
def arena_at(granularity: Granularity) -> Iterator[Arena]:
    """An arena; leaving it fails if anything is left on the machine."""
    with MachineWatch() as watch, Outside() as outside, judge_for_attacks(granularity) as judge:
        yield Arena(judge, outside)
    assert watch.leaks == {}
    assert watch.growth_mib < MOST_GROWTH_MIB


SAMPLE = 6
"""One in so many attacks of each class is tried by `make test`, the others by `make test-all`."""


def parameters(granularity: Granularity) -> list[ParameterSet]:
    """All attacks as parameters of a test; all but a sample carry the marker `thorough`. The sample is counted from a
    class's first attack at one granularity and from its last at the other, so that the two differ."""
    sample = {
        attack.name
        for members in ATTACKS.values()
        for attack in (members if granularity == "test" else members[::-1])[::SAMPLE]
    }
    return [
        pytest.param(attack, id=attack.name, marks=[] if attack.name in sample else pytest.mark.thorough)
        for _, attack in attacks()
    ]
