# SPDX-License-Identifier: Apache-2.0
"""Which tests of a problem count: a function of the problem's id and the seed alone, so a group of responses shares
them.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def stable_seed(*parts: object) -> int:
    """A 64-bit number from `parts`, the same in every process and on every machine (unlike `hash`)."""
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def draw_subset(tests: Sequence[T], count: int, problem_id: str, seed: int) -> tuple[T, ...]:
    """At most `count` of `tests` in their order (0: all of them)."""
    if count == 0 or len(tests) <= count:
        return tuple(tests)
    chosen = random.Random(stable_seed(problem_id, seed)).sample(range(len(tests)), count)
    return tuple(tests[index] for index in sorted(chosen))
