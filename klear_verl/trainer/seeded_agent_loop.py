# SPDX-License-Identifier: Apache-2.0
"""verl's single turn, asking vLLM for no more than is read: `klear_unseeded_single_turn`, and `klear_single_turn` with
a seed of its own for every response.

verl's rollout server takes every intermediate output of every response, and vLLM turns the tokens into text, but only
the tokens of the last output are read. Asked for the last output alone, without text, the server has less than half the
work per token (benchmarks/rollout_server.py).

verl seeds the rollout engine once, so that what a response draws depends on what else was in the batch, and a resumed
run samples other responses than an uninterrupted one. With a seed per response, a function of `rollout.seed`, step,
prompt and session alone, both sample the same. vLLM draws for seeded responses one by one, which costs time with
many of them on a GPU: the CPU platform has it on, the GPU platform off.

Importing this module registers both; choose with `actor_rollout_ref.rollout.agent.default_agent_loop`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cachetools import LRUCache
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

_prompt_tokens: LRUCache[tuple[int, str], list[int]] = LRUCache(maxsize=1024)
"""By (tokenizer, messages): the n responses to a prompt render and tokenize it once. An agent loop lives for one
response, so the cache is the process's."""


@register("klear_unseeded_single_turn")
class FinalSingleTurn(SingleTurnAgentLoop):
    """See the module's docstring."""

    async def ct_build_initial_tokens(self, messages: list[dict[str, Any]], **kwargs: Any) -> list[int]:
        """As verl's; from the cache for prompts of text alone."""
        if any(value for name, value in kwargs.items() if name != "mm_inputs_out"):
            return list(await super().ct_build_initial_tokens(messages, **kwargs))
        key = (id(self.tokenizer), json.dumps(messages, sort_keys=True, default=str))
        if key not in _prompt_tokens:
            _prompt_tokens[key] = await super().ct_build_initial_tokens(messages, **kwargs)
        return list(_prompt_tokens[key])

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        """As verl's; `kwargs` are the row's columns with `global_steps` and `session_id`."""
        if self.rollout_config.name == "vllm":
            mode = self.config.trainer.get("v1", {}).get("trainer_mode") or ""
            sampling_params = what_is_read(sampling_params, interruptible="async" in mode)
        output: AgentLoopOutput = await super().run(sampling_params, priority, **kwargs)
        return output


@register("klear_single_turn")
class SeededSingleTurn(FinalSingleTurn):
    """See the module's docstring."""

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        """As verl's; `kwargs` are the row's columns with `global_steps` and `session_id`."""
        seed = response_seed(
            self.rollout_config.seed or 0, int(kwargs["global_steps"]), kwargs["raw_prompt"], int(kwargs["session_id"])
        )
        return await super().run({**sampling_params, "seed": seed}, priority, **kwargs)


def what_is_read(sampling_params: Mapping[str, Any], *, interruptible: bool) -> dict[str, Any]:
    """The parameters with which vLLM delivers what verl reads and nothing else.

    Args:
        sampling_params: vLLM's.
        interruptible: whether responses are aborted under way, as asynchronous trainers do. verl then waits for the
            first output of each, which must not be the last one.
    """
    from vllm.sampling_params import RequestOutputKind

    asked = dict(sampling_params)
    if not interruptible:
        asked["output_kind"] = RequestOutputKind.FINAL_ONLY
    if not asked.get("stop"):  # stop strings are looked for in the text
        asked["detokenize"] = False
    return asked


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
