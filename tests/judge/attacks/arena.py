# SPDX-License-Identifier: Apache-2.0
"""Where pytest tries attacks: a judge, an outside, and a watch over what both leave when they are gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from klear_verl.judge import Judge
from tests.judge.attacks.battery.attack import Attack
from tests.judge.attacks.machine import MOST_GROWTH_MIB, Watch
from tests.judge.attacks.outside import Outside
from tests.judge.attacks.trial import Granularity, judge_for_attacks, still_works, try_attack


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
    with Watch() as watch, Outside() as outside, judge_for_attacks(granularity) as judge:
        yield Arena(judge, outside)
    assert watch.leaks == {}
    assert watch.growth_mib < MOST_GROWTH_MIB
