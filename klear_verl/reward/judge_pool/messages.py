# SPDX-License-Identifier: Apache-2.0
"""What travels between clients and judge actors: batches of runs and their answers, and the tests of a problem, once.

A call to Ray costs as much CPU as a test or two, so solutions and judgements travel several at a time: a client's call
brings new solutions and takes back what is finished.

The responses of a group share a problem, which can be megabytes. It travels as bytes under a digest of them. A client
sends the bytes with the first solution that it gives to an actor, and the digest alone with the others; an actor that
has dropped them asks again.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache

from klear_verl.judge.config import JudgeConfig
from klear_verl.judge.problem import Problem, draw_subset
from klear_verl.judge.verdict import Judgement


@dataclass(frozen=True)
class Hello:
    """An actor that is ready: its slots, and the isolation layers of its node."""

    slots: int
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One run of one solution: `number` is unique in its client, `key` is the problem's."""

    number: int
    key: str
    source: str


@dataclass(frozen=True)
class Batch:
    """From a client: new runs, and the problems that the actor may not have, packed, by key.

    `linger_s` and `enough` say how long and for how many answers the actor may hold back its reply while it has more of
    this client's runs to finish; after `patience_s` it replies in any case.
    """

    client: str
    runs: tuple[Run, ...]
    problems: dict[str, bytes]
    linger_s: float
    enough: int
    patience_s: float


@dataclass(frozen=True)
class RunAnswer:
    """What became of a run: a judgement, an error (a KlearError is the caller's, any other is the actor's fault), or
    neither: the problem is needed (again)."""

    number: int
    judgement: Judgement | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class Reply:
    """From an actor: finished runs of the client, and the number of unfinished ones of all clients."""

    answers: tuple[RunAnswer, ...]
    load: int


@dataclass(frozen=True)
class PackedProblem:
    """A problem on its way: `key` is a digest of `blob`, the pickled problem with `tests` tests."""

    key: str
    blob: bytes
    tests: int


class ProblemPacker:
    """Packs problems, and remembers what it packed by the identity of the object. Not thread-safe."""

    def __init__(self, config: JudgeConfig, capacity_mib: float):
        self._config = config
        # The problem is kept with its bytes: as long as it lives, nothing else has its id().
        self._packed: LRUCache[int, tuple[Problem, PackedProblem]] = _cache_of_bytes(
            capacity_mib, lambda entry: len(entry[1].blob)
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
        self._packed[id(problem)] = (problem, packed)
        return packed


class ProblemCache:
    """The problems that an actor has been given; the ones used longest ago go first. Not thread-safe."""

    def __init__(self, capacity_mib: float):
        self._problems: LRUCache[str, tuple[Problem, int]] = _cache_of_bytes(capacity_mib, lambda entry: entry[1])

    def put(self, key: str, blob: bytes) -> None:
        """Takes a problem that a client packed."""
        if key not in self._problems:
            self._problems[key] = (pickle.loads(blob), len(blob))

    def get(self, key: str) -> Problem | None:
        """The problem; None if it never came, or has been dropped since."""
        known = self._problems.get(key)
        return known[0] if known is not None else None


def _cache_of_bytes(capacity_mib: float, size_bytes: Callable[[Any], int]) -> LRUCache[Any, Any]:
    """A cache of so many bytes. What is larger than all of it counts as all of it, so that the last one put is kept,
    whatever its size: otherwise an actor would ask for it with every solution."""
    capacity_bytes = capacity_mib * 2**20
    return LRUCache(capacity_bytes, getsizeof=lambda entry: min(capacity_bytes, size_bytes(entry)))
