# SPDX-License-Identifier: Apache-2.0
"""What goes into the scorer and what comes out: the rows of `klear score`, and of every other caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["graded", "malformed", "ungraded"]
"""graded: scored on its answer. malformed: no usable answer (no think tags, no code, …), scored by a format value.
ungraded: our own machinery failed (time-out of the grader, IE of the judge, unparsable reference); its score means
nothing and it is counted apart."""


@dataclass(frozen=True)
class ScoreRequest:
    """One response to score. `ground_truth` is as in the row's `reward_model.ground_truth`."""

    id: str
    data_source: str
    response: str
    ground_truth: Any
    extra_info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoreResult:
    """The score of one response.

    `score` is the shaped reward that training uses; `acc` says the answer is entirely correct; `pass_rate` is the
    share of tests passed (None for math); `task_score` is the score before any format penalty. For `status ==
    "ungraded"`, `score` and `acc` are None. From `verdicts` on, the fields are the judge's (`cpu_s` and `wall_s` also
    the math grader's): `queue_s` is how long a program waited for its turn, `retries` counts runs repeated after a
    failure of ours, `untested` tests that were not run and count as failed.
    """

    id: str
    score: float | None
    acc: bool | None
    pass_rate: float | None
    status: Status
    task_score: float | None = None
    verdicts: tuple[str, ...] = ()
    detail: str = ""
    layers: tuple[str, ...] = ()
    cpu_s: float = 0.0
    wall_s: float = 0.0
    is_code: bool = False
    queue_s: float = 0.0
    retries: int = 0
    untested: int = 0

    def row(self) -> dict[str, Any]:
        """The output row of `klear score` (docs/commands/score.md)."""
        return {
            "id": self.id,
            "score": self.score,
            "acc": self.acc,
            "pass_rate": self.pass_rate,
            "status": self.status,
            "verdicts": list(self.verdicts),
            "detail": self.detail,
            "judge": {"layers": list(self.layers), "cpu_s": round(self.cpu_s, 6), "wall_s": round(self.wall_s, 6)},
        }
