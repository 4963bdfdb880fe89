# SPDX-License-Identifier: Apache-2.0
"""What goes into the scorer and what comes out: `ScoreRequest` in, `Score` out, for every caller.

A score leaves as a row of `klear score` or as verl's `reward_extra_info`: the same keys for every sample, all finite
floats, because verl stacks them into arrays and averages them.

    acc           1 if the answer is entirely correct, else 0 (also 0 when ungraded: read it beside `ungraded`)
    pass_rate     share of tests passed; `acc` for math, 0 when ungraded
    task_score    the score before any format penalty: what group filters should use
    malformed     1 if the response lacks the think tags or an answer
    ungraded      1 if our machinery failed, so that the reward is a placeholder: leave the sample out
    overlong      1 if the response was cut off by the length limit
    is_code       1 for a code row; where it is 0 the keys below are 0 and mean nothing
    verdict_*     share of the tests with this verdict; all 0 where no program ran
    judge_ie      1 if the judge failed in the end (ungraded)
    judge_retries runs repeated because of a failure of ours
    judge_untested tests not run after time-outs or an exhausted budget; they count as failed
    judge_queue_s, judge_exec_s, judge_cpu_s  waiting, running, and CPU time of running
    judge_layers  active isolation layers; 0 where no program ran
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["graded", "malformed", "ungraded"]
"""graded: scored on its answer. malformed: no usable answer (no think tags, no code, …), scored by a format value.
ungraded: our own machinery failed (time-out of the grader, IE of the judge, unparsable reference); its score means
nothing and it is counted apart."""

UNGRADED_PLACEHOLDER = 0.0
VERDICTS = ("AC", "WA", "TLE", "MLE", "RE", "OLE", "CE")
SCORE_KEYS = ("acc", "pass_rate", "task_score", "malformed", "ungraded", "overlong")
VERDICT_KEYS = tuple(f"verdict_{verdict.lower()}" for verdict in VERDICTS)
JUDGE_KEYS = (
    "is_code",
    *VERDICT_KEYS,
    "judge_ie",
    "judge_retries",
    "judge_untested",
    "judge_queue_s",
    "judge_exec_s",
    "judge_cpu_s",
    "judge_layers",
)
EXTRA_INFO_KEYS = SCORE_KEYS + JUDGE_KEYS


@dataclass(frozen=True)
class ScoreRequest:
    """One response to score. `ground_truth` is as in the row's `reward_model.ground_truth`; `where` is the row's
    file and number, where there is a file."""

    id: str
    data_source: str
    response: str
    ground_truth: Any
    extra_info: dict[str, Any] = field(default_factory=dict)
    where: str = ""

    @property
    def place(self) -> str:
        """With what complaints about the row begin."""
        return self.where or f"row '{self.id}'"


@dataclass(frozen=True)
class Score:
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

    @property
    def reward(self) -> float:
        """The number that verl needs as reward, also where there is no score."""
        return UNGRADED_PLACEHOLDER if self.score is None else self.score

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

    def extra_info(self, overlong: bool) -> dict[str, float]:
        """verl's `reward_extra_info`: EXTRA_INFO_KEYS in their order.

        Args:
            overlong: whether the response was cut off by the length limit.
        """
        acc = float(bool(self.acc))
        return {
            "acc": acc,
            "pass_rate": acc if self.pass_rate is None else self.pass_rate,
            "task_score": UNGRADED_PLACEHOLDER if self.task_score is None else self.task_score,
            "malformed": float(self.status == "malformed"),
            "ungraded": float(self.status == "ungraded"),
            "overlong": float(overlong),
            **(self._judge_info() if self.is_code else dict.fromkeys(JUDGE_KEYS, 0.0)),
        }

    def _judge_info(self) -> dict[str, float]:
        tests = max(1, len(self.verdicts))
        return {
            "is_code": 1.0,
            **{key: self.verdicts.count(name) / tests for key, name in zip(VERDICT_KEYS, VERDICTS, strict=True)},
            "judge_ie": float("IE" in self.verdicts),
            "judge_retries": float(self.retries),
            "judge_untested": float(self.untested),
            "judge_queue_s": self.queue_s,
            "judge_exec_s": self.wall_s,
            "judge_cpu_s": self.cpu_s,
            "judge_layers": float(len(self.layers)),
        }
