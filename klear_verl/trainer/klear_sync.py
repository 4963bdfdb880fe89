# SPDX-License-Identifier: Apache-2.0
"""The trainer `klear_sync`: verl's synchronous v1 trainer with `StepPipeline`, and what is synchronous about ours: it
generates a step's prompts at once, waits for every response, trains on them, and sends the weights.

Importing this module registers the trainer. Of `buffer` it imports the module, not the class: importing that first
imports verl's trainers, and with them this module, before the class is there.
"""

from __future__ import annotations

from typing import Any

import ray
from omegaconf import DictConfig, OmegaConf, open_dict
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from klear_verl.data.identity import data_identity
from klear_verl.errors import KlearError
from klear_verl.trainer import buffer
from klear_verl.trainer.compatibility import check_klear_sync, least_live
from klear_verl.trainer.step import StepPipeline
from klear_verl.utils.progress import announce


class LostRollouts(KlearError):
    """Responses of a step never arrived: the agent loop or the reward path raised."""


@register_trainer("klear_sync")
class KlearSyncTrainer(StepPipeline, PPOTrainerSync):
    """See the module's docstring."""

    replay_buffer: buffer.GroupBuffer

    def __init__(self, config: DictConfig):
        self.read_config(config)
        check_klear_sync(config)
        super().__init__(config)
        # verl is asynchronous wherever it finds another name than this. Replaced by: the class attribute
        # `is_synchronous` (upstream/trainer_hooks.patch).
        self.trainer_mode = "sync"
        self.replay_buffer = self.build_replay_buffer()

    def init(self) -> None:
        """As verl's."""
        announce("loading the model and starting the rollout engine")
        super().init()

    def on_init_end(self) -> None:
        """As verl's: the rollout engine gets the weights."""
        announce("sending the weights to the rollout engine")
        super().on_init_end()

    def fit(self, agent_loop_manager: Any) -> None:
        """As verl's."""
        announce(f"training from step {self.global_steps + 1} to {self.total_training_steps}")
        super().fit(agent_loop_manager)

    # ------------------------------------------------------------------ prompts

    @property
    def prompts_per_step(self) -> int:
        """How many prompts are generated at a time; in mode "refill" more may follow."""
        return self.klear.groups.generate or int(self.config.data.train_batch_size)

    def build_replay_buffer(self) -> buffer.GroupBuffer:
        """The buffer that collects a step's groups, in the place of the one that verl has built."""
        sampler = self.config.trainer.v1.sampler
        groups = buffer.GroupBuffer(
            trainer_mode="sync",
            trainer_config=self.config.trainer.v1.get("sync", {}),
            max_off_policy_threshold=sampler.max_off_policy_threshold,
            max_off_policy_strategy=sampler.max_off_policy_strategy,
            sampler_kwargs=sampler.sampler_kwargs,
            poll_interval=self.klear.poll_interval_s,
            refill_fn=self._add_prompts_to_generate,
        )
        groups.configure(
            self.klear.groups,
            self.klear.overlong,
            batch_size=int(self.config.data.train_batch_size),
            max_response_length=int(self.config.actor_rollout_ref.rollout.response_length),
            check_alive=self._check_alive,
            least_live=least_live(self.config),
        )
        return groups

    def _init_dataloader(self) -> None:
        """Fetches as many prompts at a time as are generated at a time, and counts steps by the prompts that they use
        up. In mode "refill" prompts come one by one, and a step counts, as in verl, as `train_batch_size` prompts: how
        many it will need is not known beforehand. Replaced by: `prompts_per_step` (upstream/trainer_hooks.patch)."""
        refill = self.klear.groups.mode == "refill"
        with open_dict(self.config):
            self.config.data.gen_batch_size = 1 if refill else self.prompts_per_step
        super()._init_dataloader()
        self.data_identity = data_identity(self.train_dataset)
        if refill or (used := self.prompts_per_step) == self.config.data.train_batch_size:
            return
        self.steps_per_epoch = len(self.train_dataset) // used
        if self.config.trainer.total_training_steps is None:
            self.total_training_steps = self.steps_per_epoch * self.config.trainer.total_epochs
            with open_dict(self.config):
                for role in ("actor_rollout_ref.actor", "critic"):
                    if OmegaConf.select(self.config, f"{role}.optim"):
                        OmegaConf.update(self.config, f"{role}.optim.total_training_steps", self.total_training_steps)

    def prepare_step(self) -> dict[str, Any]:
        """As verl's: has the step's prompts generated."""
        self.replay_buffer.begin_step()
        result: dict[str, Any] = super().prepare_step()
        return result

    def _next_train_batch(self, num_prompts: int | None = None) -> TensorDict:
        """Replaced by: `prompts_per_step` and `on_prompts_submitted` (upstream/trainer_hooks.patch)."""
        batch = super()._next_train_batch(num_prompts or self.prompts_per_step)
        self.replay_buffer.submitted(list(batch["uid"]))
        return batch

    # ------------------------------------------------------------------ waiting for every response

    def _check_alive(self) -> None:
        """Raises Ray's error if a process that generates has died: its prompts would stay "running" for ever."""
        pings = [worker.__ray_ready__.remote() for worker in self.agent_loop_manager.agent_loop_workers]
        answered, _ = ray.wait(pings, num_returns=len(pings), timeout=1.0)
        ray.get(answered)

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict[str, Any], **kwargs: Any) -> KVBatchMeta:
        self._refuse_lost_rollouts(metrics)
        return super()._balance_batch(batch, metrics, **kwargs)

    def _refuse_lost_rollouts(self, metrics: dict[str, Any]) -> None:
        """Before verl's padding takes their places in silence."""
        expected = self.replay_buffer.prompts * int(self.config.actor_rollout_ref.rollout.n)
        arrived = sum(len(group.responses) for group in self.replay_buffer.groups)
        metrics["klear/lost_rollouts"] = float(expected - arrived)
        if expected - arrived > self.klear.max_lost_rollouts or not arrived:
            raise LostRollouts(
                f"step {self.global_steps}: {expected - arrived} of {expected} responses were lost: generation or "
                "scoring raised",
                "the errors stand in the run's log.txt ('Error in _run_prompt'); "
                "klear.max_lost_rollouts=N lets N go per step",
            )
