# SPDX-License-Identifier: Apache-2.0
"""The trainer `klear_sync`: verl's synchronous v1 trainer, with what the method needs between rollout and gradient.

For now: start-up that says what it is doing, a replay buffer that does not sleep two seconds a step, responses that
could not be graded kept out of the gradient, and the reward path's own counts among the metrics. Importing this module
registers the trainer.
"""

from __future__ import annotations

from typing import Any

import torch
import transfer_queue as tq
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.workers.utils.padding import response_to_nested

from klear_verl.errors import KlearError
from klear_verl.reward.extra_info import JUDGE_KEYS
from klear_verl.strict import parse_config
from klear_verl.trainer.config import KlearConfig
from klear_verl.trainer.progress import announce
from klear_verl.trainer.reward_metrics import impute_ungraded, judge_metrics, reward_metrics


class LostRollouts(KlearError):
    """Responses of a step never arrived: the agent loop or the reward path raised."""


@register_trainer("klear_sync")
class KlearSyncTrainer(PPOTrainerSync):
    """See the module's docstring."""

    def __init__(self, config: DictConfig):
        node = config.get("klear")
        values = OmegaConf.to_container(node, resolve=True) if node else {}
        assert isinstance(values, dict)
        self.klear = parse_config(KlearConfig, {str(key): value for key, value in values.items()}, "klear")
        super().__init__(config)
        self.replay_buffer.poll_interval = self.klear.poll_interval_s

    @property
    def trainer_mode(self) -> str:
        """verl behaves asynchronously in six places for any name but "sync"; this trainer is synchronous."""
        return "sync"

    @trainer_mode.setter
    def trainer_mode(self, name: str) -> None:
        """verl's constructor assigns the registered name here; the mode stays "sync"."""

    def _setup(self) -> None:
        announce("loading the model and starting the rollout engine")
        super()._setup()

    def on_init_end(self) -> None:
        announce("sending the weights to the rollout engine")
        super().on_init_end()

    def fit(self, agent_loop_manager: Any) -> None:
        announce(f"training from step {self.global_steps + 1} to {self.total_training_steps}")
        super().fit(agent_loop_manager)

    def _balance_batch(self, batch: Any, metrics: dict[str, Any], **kwargs: Any) -> Any:
        """Refuses a batch that lost responses before verl pads it up without a word."""
        expected = self.config.data.train_batch_size * self.config.actor_rollout_ref.rollout.n
        lost = expected - len(batch.keys)
        metrics["klear/lost_rollouts"] = float(lost)
        if lost > self.klear.max_lost_rollouts:
            raise LostRollouts(
                f"step {self.global_steps}: {lost} of {expected} responses were lost: generation or scoring raised",
                "the errors stand in the run's log.txt ('Error in _run_prompt'); "
                "klear.max_lost_rollouts=N lets N go per step",
            )
        return super()._balance_batch(batch, metrics, **kwargs)

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        """Adds the reward path's counts to the metrics and gives ungraded responses the mean of their group (advantage
        exactly 0)."""
        data = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["uid", "rm_scores", "extra_fields"]
        )
        live = [not tag.get("is_padding", False) for tag in batch.tags]
        infos = [
            fields.get("reward_extra_info", {}) if isinstance(fields, dict) else {}
            for fields in data.pop("extra_fields").tolist()
        ]
        scored = [info for info, keep in zip(infos, live, strict=True) if keep]
        metrics.update(reward_metrics(scored) | judge_metrics(scored))
        ungraded = torch.tensor([bool(info.get("ungraded", 0.0)) for info in infos])
        if ungraded.any():
            scores = data["rm_scores"]
            imputed = impute_ungraded(
                scores.to_padded_tensor(0.0), [str(uid) for uid in data.pop("uid").tolist()], ungraded
            )
            fields = TensorDict({"rm_scores": response_to_nested(imputed, scores)}, batch_size=len(batch))
            batch = tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)
        batch = super()._compute_advantage(batch, metrics)
        return self._zero_advantages(batch, ungraded) if ungraded.any() else batch

    def _val_metrics_update(
        self, data_sources: Any, sample_uids: Any, infos: dict[str, list[Any]], *rest: Any, **more: Any
    ) -> dict[str, float]:
        """Keeps the judge's figures out of verl's validation statistics, whose bootstrap costs 25 ms per key and prompt
        and says nothing about them."""
        scores = {key: values for key, values in infos.items() if key not in JUDGE_KEYS}
        return super()._val_metrics_update(data_sources, sample_uids, scores, *rest, **more)

    def _zero_advantages(self, batch: Any, rows: torch.Tensor) -> Any:
        """Sets the advantages of `rows`, a mask of shape (batch_size,), to exactly 0 (they are, but for rounding)."""
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["advantages"])
        per_response = [
            torch.zeros_like(advantages) if zero else advantages
            for advantages, zero in zip(data["advantages"].unbind(), rows.tolist(), strict=True)
        ]
        nested = torch.nested.as_nested_tensor(per_response, layout=torch.jagged)
        fields = TensorDict({"advantages": nested}, batch_size=len(batch))
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)
