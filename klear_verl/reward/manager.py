# SPDX-License-Identifier: Apache-2.0
"""verl's reward manager `klear`: scores each response as it finishes, in verl's reward loop
(`verl/experimental/reward_loop`).

Importing this module registers it. Each reward-loop worker (a Ray actor) has one manager, hence one scorer with its
own math graders; programs go to judge actors that all workers share (`judge_pool/`). `score.py` lists what every
sample carries besides its reward.

An ungraded sample has no reward, but verl wants a number, and gets 0 with `ungraded` = 1. The klear trainers mask
such samples out. Any other trainer would learn from the placeholder, so there (`on_ungraded` "auto") the manager
raises, and verl drops the group and counts it in its rollout_failure metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray
from omegaconf import DictConfig, OmegaConf
from verl import DataProto
from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from klear_verl.data.schemas import scored_fields
from klear_verl.errors import ConfigError, EnvironmentProblem
from klear_verl.reward.config import WHERE, reward_config
from klear_verl.reward.response import ResponseDecoder
from klear_verl.reward.score import ScoreRequest
from klear_verl.reward.scorer import Scorer


@register("klear")
class KlearRewardManager(RewardManagerBase):
    """Scores math and code rows by data_source; configured under `reward.reward_kwargs.klear`."""

    def __init__(
        self,
        config: DictConfig,
        tokenizer: Any,
        compute_score: Any = None,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ):
        """See NaiveRewardManager for the arguments; a reward model is not used.

        Raises:
            ConfigError: a bad key under `reward.reward_kwargs.klear`, or a custom reward function, which would never
                be called.
        """
        super().__init__(config, tokenizer, compute_score)
        if (config.reward.get("custom_reward_function") or {}).get("path"):
            raise ConfigError(
                "reward.custom_reward_function.path is set, but the reward manager 'klear' never calls it",
                "unset it, or choose reward.reward_manager.name=naive",
            )
        self.scorer = Scorer(reward_config(klear_reward_node(config)), in_cluster=ray.is_initialized())
        self._decoder = ResponseDecoder(tokenizer)
        self._max_response_length = int(config.actor_rollout_ref.rollout.response_length)
        self._fail_on_ungraded = _fails_on_ungraded(config, self.scorer.config.on_ungraded)

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Scores the last sequence of `data`.

        Returns:
            {"reward_score": float, "reward_extra_info": the floats that `score.py` lists}

        Raises:
            DataError: an unknown data_source or an unreadable ground truth; names the row.
            EnvironmentProblem: graders or judge cannot work here; or the response is ungraded and the trainer would
                not mask it.
        """
        item = data[-1:][0]
        response_ids = item.batch["responses"]
        length = int(item.batch["attention_mask"][-response_ids.shape[-1] :].sum())
        ids = response_ids[:length].tolist()
        text = await self.loop.run_in_executor(None, self._decoder.decode, ids)
        request = row_request(item.non_tensor_batch, text)
        score = await self.scorer.score_async(request)
        if score.status == "ungraded" and self._fail_on_ungraded:
            raise EnvironmentProblem(
                f"row '{request.id}' (data_source {request.data_source}) could not be graded: {score.detail}",
                "this trainer would learn from a placeholder reward; use trainer.v1.trainer_mode=klear_sync, or set "
                f"{WHERE}.on_ungraded=mask",
            )
        overlong = length >= self._max_response_length and not self._decoder.ends(ids)
        return {"reward_score": score.reward, "reward_extra_info": score.extra_info(overlong)}


def klear_reward_node(config: DictConfig) -> dict[str, Any] | None:
    """`reward.reward_kwargs.klear` as plain containers; None where absent."""
    node = OmegaConf.select(config, WHERE)
    return None if node is None else OmegaConf.to_container(node, resolve=True)  # type: ignore[return-value]


def row_request(row: Mapping[str, Any], response: str) -> ScoreRequest:
    """The request of a sample of a verl batch.

    Raises:
        DataError: what the row is scored by is missing or ill-typed.
    """
    extra = row.get("extra_info")
    names = [extra.get("id"), extra.get("index")] if isinstance(extra, Mapping) else []
    # Arrow pads extra_info with nulls, which are no names.
    identity = str(next((name for name in [*names, row.get("uid")] if name is not None), "?"))
    source, truth, extra = scored_fields(row, f"row '{identity}'")
    return ScoreRequest(identity, source, response, truth, extra)


def _fails_on_ungraded(config: DictConfig, on_ungraded: str) -> bool:
    if on_ungraded == "auto":
        mode = OmegaConf.select(config, "trainer.v1.trainer_mode") or ""
        return not str(mode).startswith("klear")
    return on_ungraded == "fail"
