# SPDX-License-Identifier: Apache-2.0
"""The schema of the top-level `klear:` node of a training configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from klear_verl.utils.config import StrictModel

POSITIVE_LM = "actor_rollout_ref.actor.policy_loss.positive_lm_coef"
"""Where α stands, the weight of the language-model loss on correct rollouts: beside the loss it is added to."""

GroupsMode = Literal["keep", "drop", "refill"]
Criterion = Literal["task_score", "acc", "reward"]
OverlongMode = Literal["mask", "penalty", "keep"]


class GroupsConfig(StrictModel):
    """Which groups (the responses to one prompt) train; docs/concepts/groups.md.

    `mode` "drop" trains on at most `data.train_batch_size` of the groups with signal and does not replace the others
    (the paper's Figure 5); "refill" generates more prompts until the batch is full (DAPO's dynamic sampling, arXiv
    2503.14476); "keep" trains on every group. A group has signal if its live responses differ in `criterion`; one
    with fewer than two live responses never trains, whatever the mode.

    `criterion` "task_score" is the score before penalties, "reward" the one after them, "acc" all-correct or not.
    `generate` is the number of prompts generated at a time (the released recipe: 256 for a batch of 128); null is
    `data.train_batch_size`. `max_generate` bounds the prompts of one step in mode "refill", after which the step trains
    on what it has; null is 10 times `data.train_batch_size`.
    """

    mode: GroupsMode = "drop"
    criterion: Criterion = "task_score"
    generate: int | None = Field(default=None, ge=1)
    max_generate: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _bounds(self) -> GroupsConfig:
        if self.generate is not None and self.mode == "keep":
            raise ValueError(f"generate={self.generate}: mode=keep trains on every group generated; leave it null")
        if self.max_generate is not None and self.mode != "refill":
            raise ValueError(
                f"max_generate={self.max_generate} bounds mode=refill, but mode={self.mode}; leave it null"
            )
        if self.generate is not None and self.max_generate is not None and self.max_generate < self.generate:
            raise ValueError(f"max_generate={self.max_generate} is less than generate={self.generate}")
        return self


class OverlongConfig(StrictModel):
    """What happens to responses that the length limit cut off; docs/concepts/overlong.md.

    `mode` "mask" takes them out of the loss, of every denominator and of their group's statistics; "penalty" is DAPO's
    soft overlong punishment (arXiv 2503.14476, Eq. 13): over the last `buffer_tokens` before the limit the reward falls
    linearly by up to `penalty`; "keep" does nothing.
    """

    mode: OverlongMode = "mask"
    buffer_tokens: int = Field(default=4096, ge=1)
    penalty: float = Field(default=1.0, gt=0)


class KlearConfig(StrictModel):
    """What our trainer adds to verl's.

    `run_dir` is where a run keeps its saved configuration, metrics and checkpoints; the commands fill it in.
    `poll_interval_s` is how often the replay buffer looks for finished rollouts (verl's own 2 s has no key and costs a
    second a step on average). `max_lost_rollouts` is how many responses of a step may be lost to errors before the run
    stops (verl pads them up and goes on).
    """

    run_dir: str | None = None
    poll_interval_s: float = Field(default=0.05, gt=0, le=60)
    max_lost_rollouts: int = Field(default=0, ge=0)
    groups: GroupsConfig = GroupsConfig()
    overlong: OverlongConfig = OverlongConfig()
