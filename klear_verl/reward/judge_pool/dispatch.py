# SPDX-License-Identifier: Apache-2.0
"""Which actor gets the next solution."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from klear_verl.reward.judge_pool.worker import Seat


def choose(seats: Sequence[Seat], avoid: Collection[str] = ()) -> Seat | None:
    """The less loaded of two random seats that have room; of those not in `avoid` if there are any. None if all are
    full.

    Two random ones, not the least loaded of all: what a client knows of the others is always a little old, and all
    clients would run to the same actor.
    """
    free = [seat for seat in seats if seat.has_room]
    candidates = [seat for seat in free if seat.name not in avoid] or free
    if not candidates:
        return None
    return min(random.sample(candidates, min(2, len(candidates))), key=lambda seat: seat.load_per_slot)
