# SPDX-License-Identifier: Apache-2.0
"""The synthetic math task: add two two-digit numbers, digit by digit, in Klear's math rows.

The demonstrations for SFT are as unfiltered as distilled ones are: a share of them forgets the carry. So SFT teaches
the procedure and leaves the mistake in, and RL on final correctness has something real to remove.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

DATA_SOURCE = "klear_quickstart_math"


@dataclass(frozen=True)
class Addition:
    """`a` + `b`, both with two digits and with a carry out of the ones, which is where the mistake lies."""

    a: int
    b: int

    @property
    def id(self) -> str:
        return f"math-{self.a}-{self.b}"

    def prompt(self) -> str:
        """The user's message."""
        return f"What is {self.a} + {self.b}?"

    def demonstration(self, *, forgets_carry: bool) -> str:
        """A response in the think format; with the mistake or without."""
        ones = self.a % 10 + self.b % 10
        carried = 0 if forgets_carry else 1
        tens = self.a // 10 + self.b // 10 + carried
        steps = f"{self.a % 10}+{self.b % 10}={ones}. {self.a // 10}+{self.b // 10}+{carried}={tens}."
        return f"<think>\n{steps}\n</think>\n\\boxed{{{tens}{ones % 10}}}"

    def row(self) -> dict[str, Any]:
        """A row for RL and evaluation (docs/concepts/rewards.md)."""
        return {
            "data_source": DATA_SOURCE,
            "prompt": [{"role": "user", "content": self.prompt()}],
            "ability": "math",
            "reward_model": {"ground_truth": str(self.a + self.b), "style": "rule"},
            "extra_info": {"id": self.id},
        }


def all_additions() -> list[Addition]:
    """Every problem of the task, in order."""
    return [Addition(a, b) for a in range(10, 100) for b in range(10, 100) if a % 10 + b % 10 >= 10]


def split(rng: random.Random, held_out: int) -> tuple[list[Addition], list[Addition]]:
    """Disjoint train and held-out problems, shuffled."""
    problems = all_additions()
    rng.shuffle(problems)
    return problems[held_out:], problems[:held_out]
