# SPDX-License-Identifier: Apache-2.0
"""The agent loop `klear_single_turn`: verl's single turn with a seed of its own for every response.

verl seeds the rollout engine once, so that what a response draws depends on what else was in the batch, and a resumed
run samples other responses than an uninterrupted one. With a seed per response, a function of `rollout.seed`, step,
prompt and session alone, both sample the same. Importing this module registers it; choose it with
`actor_rollout_ref.rollout.agent.default_agent_loop`. vLLM draws for seeded responses one by one, which costs time with
many of them on a GPU: the CPU platform has it on, the GPU platform off.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop


@register("klear_single_turn")
class SeededSingleTurn(SingleTurnAgentLoop):
    """See the module's docstring."""

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        """As verl's; `kwargs` are the row's columns with `global_steps` and `session_id`."""
        seed = response_seed(
            self.rollout_config.seed or 0, int(kwargs["global_steps"]), kwargs["raw_prompt"], int(kwargs["session_id"])
        )
        output: AgentLoopOutput = await super().run({**sampling_params, "seed": seed}, priority, **kwargs)
        return output


def response_seed(seed: int, step: int, prompt: Sequence[Any], session: int) -> int:
    """A seed in [0, 2^31) for one response.

    Args:
        seed: the run's.
        step: the training step.
        prompt: the chat messages.
        session: which of the n responses to the prompt.
    """
    identity = json.dumps([seed, step, list(prompt), session], sort_keys=True, default=str)
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:4], "big") >> 1
