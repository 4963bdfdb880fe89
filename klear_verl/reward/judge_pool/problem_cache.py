# SPDX-License-Identifier: Apache-2.0
"""Shipping tests to the actors once: the responses of a group share a problem, which can be megabytes.

A problem travels as bytes under a digest of them. A client sends the bytes with the first solution that it gives to an
actor, and the digest alone with the others; an actor that has dropped them asks again.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from klear_verl.judge.config import JudgeConfig
from klear_verl.judge.problem import Problem
from klear_verl.judge.subset import draw_subset

T = TypeVar("T")


@dataclass(frozen=True)
class PackedProblem:
    """A problem on its way: `key` is a digest of `blob`, the pickled problem with `tests` tests."""

    key: str
    blob: bytes
    tests: int


class Lru(Generic[T]):
    """Values by key; when those together weigh more than `capacity`, the ones used longest ago go."""

    def __init__(self, capacity: float, weight: Callable[[T], float]):
        self._capacity = capacity
        self._weight = weight
        self._total = 0.0
        self._values: OrderedDict[object, T] = OrderedDict()

    def get(self, key: object) -> T | None:
        """The value, which now counts as just used."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: object, value: T) -> None:
        """Keeps a value; the last one put stays, whatever it weighs."""
        self.discard(key)
        self._values[key] = value
        self._total += self._weight(value)
        while self._total > self._capacity and len(self._values) > 1:
            self._total -= self._weight(self._values.popitem(last=False)[1])

    def discard(self, key: object) -> None:
        """Forgets a value."""
        if key in self._values:
            self._total -= self._weight(self._values.pop(key))

    def __len__(self) -> int:
        return len(self._values)


class ProblemPacker:
    """Packs problems, and remembers what it packed by the identity of the object. Not thread-safe."""

    def __init__(self, config: JudgeConfig, capacity_mib: float):
        self._config = config
        # The problem is kept with its bytes: as long as it lives, nothing else has its id().
        self._packed: Lru[tuple[Problem, PackedProblem]] = Lru(
            capacity_mib * 2**20, weight=lambda entry: len(entry[1].blob)
        )

    def pack(self, problem: Problem) -> PackedProblem:
        """The problem with the tests that count; the others stay here."""
        known = self._packed.get(id(problem))
        if known is not None:
            return known[1]
        count = self._config.max_tests if problem.max_tests is None else problem.max_tests
        tests = draw_subset(problem.tests, count, problem.id, self._config.seed)
        blob = pickle.dumps(problem.model_copy(update={"tests": tests}), protocol=5)
        packed = PackedProblem(hashlib.blake2b(blob, digest_size=16).hexdigest(), blob, len(tests))
        self._packed.put(id(problem), (problem, packed))
        return packed


class ProblemShelf:
    """The problems that an actor has been given. Not thread-safe."""

    def __init__(self, capacity_mib: float):
        self._shelf: Lru[tuple[Problem, int]] = Lru(capacity_mib * 2**20, weight=lambda entry: entry[1])

    def put(self, key: str, blob: bytes) -> None:
        """Takes a problem that a client packed."""
        if self._shelf.get(key) is None:
            self._shelf.put(key, (pickle.loads(blob), len(blob)))

    def get(self, key: str) -> Problem | None:
        """The problem; None if it never came, or has been dropped since."""
        known = self._shelf.get(key)
        return known[0] if known is not None else None
