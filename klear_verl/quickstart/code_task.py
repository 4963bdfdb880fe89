# SPDX-License-Identifier: Apache-2.0
"""The synthetic programming task: read two integers, print an expression of them, in Klear's code rows with 16 tests
each.

As in the math task, a share of the demonstrations is wrong, here in a way that passes some tests and fails others (a
missing max, min or abs), so that soft pass rates, unlike all-or-nothing rewards, tell the programs apart.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

DATA_SOURCE = "klear_quickstart_code"
TESTS = 16
KINDS = ("larger", "smaller", "distance")


@dataclass(frozen=True)
class LinearPair:
    """Print the larger, or the smaller, or the distance, of `c`·a and `d`·b."""

    kind: str
    c: int
    d: int

    @property
    def id(self) -> str:
        return f"code-{self.kind}-{self.c}-{self.d}"

    def prompt(self) -> str:
        """The user's message."""
        what = {"larger": "the larger of", "smaller": "the smaller of", "distance": "the distance between"}[self.kind]
        return f"Read integers a and b. Print {what} {self.c}*a and {self.d}*b."

    def expression(self, *, careless: bool) -> str:
        """The Python expression to print; the careless one is right for some inputs only."""
        left, right = f"{self.c}*a", f"{self.d}*b"
        if self.kind == "distance":
            return f"{left}-{right}" if careless else f"abs({left}-{right})"
        return left if careless else f"{'max' if self.kind == 'larger' else 'min'}({left},{right})"

    def demonstration(self, *, careless: bool) -> str:
        """A response in the think format; with the mistake or without."""
        program = f"a,b=map(int,input().split())\nprint({self.expression(careless=careless)})"
        return f"<think>\n{self.kind} {self.c} {self.d}\n</think>\n```python\n{program}\n```"

    def answer(self, a: int, b: int) -> int:
        """The right output."""
        left, right = self.c * a, self.d * b
        return {"larger": max(left, right), "smaller": min(left, right), "distance": abs(left - right)}[self.kind]

    def tests(self, *, mistaken: bool = False) -> dict[str, list[str]]:
        """16 tests, a function of the problem alone; in half of them the careless expression is right. The mistaken
        ones were written down from a run of the careless program, as if that were the solution."""
        rng = random.Random(self.id)
        inputs: dict[tuple[int, int], int] = {}
        wanted = {True: TESTS // 2, False: TESTS // 2}
        while any(wanted.values()):
            a, b = rng.randint(-50, 50), rng.randint(-50, 50)
            careless = {"larger": self.c * a, "smaller": self.c * a, "distance": self.c * a - self.d * b}[self.kind]
            right = careless == self.answer(a, b)
            if wanted[right] and (a, b) not in inputs:
                wanted[right] -= 1
                inputs[a, b] = careless if mistaken else self.answer(a, b)
        return {"inputs": [f"{a} {b}\n" for a, b in inputs], "outputs": [f"{out}\n" for out in inputs.values()]}

    def row(self, *, mistaken: bool = False) -> dict[str, Any]:
        """A row for RL and evaluation (docs/concepts/rewards.md); with mistaken tests or without."""
        return {
            "data_source": DATA_SOURCE,
            "prompt": [{"role": "user", "content": self.prompt()}],
            "ability": "code",
            "reward_model": {"ground_truth": json.dumps(self.tests(mistaken=mistaken)), "style": "rule"},
            "extra_info": {"id": self.id},
        }


def split(rng: random.Random, held_out: int) -> tuple[list[LinearPair], list[LinearPair]]:
    """Disjoint train and held-out problems, shuffled."""
    problems = [LinearPair(kind, c, d) for kind in KINDS for c in range(1, 10) for d in range(1, 10)]
    rng.shuffle(problems)
    return problems[held_out:], problems[:held_out]
