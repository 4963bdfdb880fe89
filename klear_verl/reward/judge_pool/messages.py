# SPDX-License-Identifier: Apache-2.0
"""What clients and judge actors say to each other.

A call to Ray costs as much CPU as a test or two, so solutions and judgements travel several at a time: a client's call
brings new solutions and takes back what is finished.
"""

from __future__ import annotations

from dataclasses import dataclass

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
class Parcel:
    """From a client: new runs, and the tests that the actor may not have, by problem key. `linger_s` and `enough` say
    how long and for how many answers the actor may hold back a reply while it has more of this client in hand;
    `patience_s` is when to reply with nothing."""

    client: str
    runs: tuple[Run, ...]
    tests: dict[str, bytes]
    linger_s: float
    enough: int
    patience_s: float


@dataclass(frozen=True)
class Answer:
    """What became of a run: a judgement, an error (a KlearError is the caller's, any other is the actor's fault), or
    neither: the tests are needed (again)."""

    number: int
    judgement: Judgement | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class Answers:
    """From an actor: finished runs of the client, and how many runs it has in hand for all clients."""

    answers: tuple[Answer, ...]
    load: int
