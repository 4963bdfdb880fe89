# SPDX-License-Identifier: Apache-2.0
"""Responses to prompts, as verl's agent loop puts them into the queue, and the names that the tests give them.

The prompts of a step are called a, b, c, … in the order of the data, their responses a0, a1, …; the second row of a
session is a0', and all padding rows are called "pad".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput

LIMIT = 8
"""`rollout.response_length`, in tokens."""
PROMPT = [5, 6, 7]
PAD = "pad"
LOG_PROB = -1.0
"""Of every token, to the rollout and to the model, unless a test says otherwise."""


@dataclass(frozen=True)
class Answer:
    """A response and what the reward manager says of it.

    `reward` is `score` unless given. `unwritten` are places of tokens that the policy did not write (a tool's output);
    `outputs` is the number of rows that the agent loop makes of the session. `rollout_log_probs` are those that differ
    from LOG_PROB, by place. `info` is what differs in `reward_extra_info`; None: the reward manager leaves it out.
    """

    score: float
    tokens: int = 4
    reward: float | None = None
    unwritten: tuple[int, ...] = ()
    outputs: int = 1
    rollout_log_probs: Mapping[int, float] = field(default_factory=dict)
    info: Mapping[str, float | None] = field(default_factory=dict)

    def but(self, **changes: Any) -> Answer:
        """The same but for what is given."""
        return dataclasses.replace(self, **changes)

    def rows(self, uid: str, session: int) -> dict[str, dict[str, Any]]:
        """By key, what verl's agent loop puts into the queue."""
        right = float(self.score == 1.0)
        scores = {"task_score": self.score, "acc": right, "pass_rate": right}
        info = {**scores, "overlong": 0.0, "ungraded": 0.0, "malformed": 0.0, **self.info}
        info = {name: value for name, value in info.items() if value is not None}
        output = AgentLoopOutput(
            prompt_ids=PROMPT,
            response_ids=list(range(10, 10 + self.tokens)),
            response_mask=[int(place not in self.unwritten) for place in range(self.tokens)],
            response_logprobs=[self.rollout_log_probs.get(place, LOG_PROB) for place in range(self.tokens)],
            reward_score=self.score if self.reward is None else self.reward,
            num_turns=2,
            metrics=AgentLoopMetrics(),
            extra_fields={"reward_extra_info": info},
        ).as_dict()
        ids = torch.cat([output["prompts"], output["responses"]])
        output |= {"input_ids": ids, "position_ids": torch.arange(len(ids)), "loss_mask": output["response_mask"]}
        output |= {"uid": uid, "data_source": "math"}
        return {f"{uid}_{session}_{number}": output for number in range(self.outputs)}


RIGHT, WRONG = Answer(1.0), Answer(-1.0)
CUT = Answer(-1.0, tokens=LIMIT, info={"overlong": 1.0})
UNGRADED = Answer(0.0, info={"ungraded": 1.0})
EMPTY = WRONG.but(unwritten=(0, 1, 2, 3))


def name_of(key: str) -> str:
    """Of a row, from its key in the queue."""
    uid, session, number = key.rsplit("_", 2)
    return PAD if uid.startswith("pad") else f"{uid}{session}" + "'" * int(number)


def nested(rows: Iterable[torch.Tensor]) -> torch.Tensor:
    """Rows of any length as one tensor, as the queue returns them."""
    return torch.nested.as_nested_tensor(list(rows), layout=torch.jagged)
