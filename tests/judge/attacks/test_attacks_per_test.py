# SPDX-License-Identifier: Apache-2.0
"""The battery at granularity "test": nothing is accepted or taken for our failure, nothing outside is touched, and
nothing is left.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.judge.attacks.arena import Arena, arena_at, parameters
from tests.judge.attacks.battery.attack import Attack


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with arena_at("test") as shared:
        yield shared


@pytest.mark.parametrize("attack", parameters("test"))
def test_attack_fails_and_the_judge_still_works(arena: Arena, attack: Attack) -> None:
    assert arena.flaws(attack) == ()
