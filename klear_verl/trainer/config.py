# SPDX-License-Identifier: Apache-2.0
"""The schema of the top-level `klear:` node of a training configuration."""

from __future__ import annotations

from pydantic import Field

from klear_verl.strict import StrictModel


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
