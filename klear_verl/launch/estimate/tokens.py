# SPDX-License-Identifier: Apache-2.0
"""How much one RL step generates and trains on, at most."""

from __future__ import annotations

import math
from dataclasses import dataclass

from klear_verl.trainer.config import GroupsConfig


@dataclass(frozen=True)
class StepSize:
    """Bounds of one step. `prompts` are generated (in mode "refill" at least these, and up to `most_prompts`);
    `trained` is the number of groups that may train, in at most `updates` optimiser updates."""

    prompts: int
    most_prompts: int
    n: int
    trained: int
    updates: int
    response_tokens: int
    total_tokens: int


def step_size(
    groups: GroupsConfig, *, batch: int, mini_batch: int, epochs: int, n: int, prompt_length: int, response_length: int
) -> StepSize:
    """The size of a step under the trainer `klear_sync`.

    Args:
        groups: which groups are generated and which train (method, section 4).
        batch, mini_batch: `data.train_batch_size` and `ppo_mini_batch_size`, in prompts.
        epochs: `ppo_epochs`.
        n: responses per prompt.
        prompt_length, response_length: the limits, in tokens.

    Returns:
        Token counts are those of the prompts generated first, if every prompt and response had the limit's length.
    """
    prompts = groups.generate or batch
    most = (groups.max_generate or 10 * batch) if groups.mode == "refill" else prompts
    trained = prompts if groups.mode == "keep" else min(batch, most)
    responses = prompts * n
    return StepSize(
        prompts=prompts,
        most_prompts=most,
        n=n,
        trained=trained,
        updates=math.ceil(trained / mini_batch) * epochs,
        response_tokens=responses * response_length,
        total_tokens=responses * (prompt_length + response_length),
    )
