# SPDX-License-Identifier: Apache-2.0
"""The trainer `klear_sync`: verl's synchronous v1 trainer, with what the method needs between rollout and gradient.

It adds to verl's step: which responses and groups train (`rollouts/`), the language-model loss on correct rollouts and
exact diagnostics (`objective`), a stop on non-finite log-probabilities, checkpoints that are complete or absent
(`checkpoints`), and the reward path's own counts. Importing this module registers the trainer.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import torch
import transfer_queue as tq
from omegaconf import DictConfig, OmegaConf, open_dict
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions, log_seqlen_unbalance

from klear_verl.algorithm import GPPOLossConfig
from klear_verl.algorithm.config import ClipRange
from klear_verl.data.identity import check_identity, data_identity
from klear_verl.errors import KlearError
from klear_verl.reward.score import JUDGE_KEYS
from klear_verl.trainer import checkpoints, loss
from klear_verl.trainer.compatibility import check_klear_sync
from klear_verl.trainer.config import POSITIVE_LM, KlearConfig
from klear_verl.trainer.estimators import least_live, level_groups_have_no_advantage
from klear_verl.trainer.non_finite import NonFiniteGradient, stop_on_non_finite
from klear_verl.trainer.reward_metrics import judge_metrics, response_metrics, validation_means
from klear_verl.trainer.rollouts.fields import nested, put_padding, put_rewards, put_sample_fields, zero_advantages
from klear_verl.trainer.rollouts.groups import Selection, group_metrics, select
from klear_verl.trainer.rollouts.packing import row_order, split_groups
from klear_verl.trainer.rollouts.responses import Response
from klear_verl.utils.config import parse_config
from klear_verl.utils.progress import announce

if TYPE_CHECKING:
    from klear_verl.trainer.rollouts.buffer import GroupBuffer


class LostRollouts(KlearError):
    """Responses of a step never arrived: the agent loop or the reward path raised."""


class _NoSignal(Exception):
    """Leaves verl's step: no group of this one can train. Carries all rows of the step."""

    def __init__(self, batch: KVBatchMeta):
        super().__init__("no group with signal")
        self.batch = batch


@register_trainer("klear_sync")
class KlearSyncTrainer(PPOTrainerSync):
    """See the module's docstring."""

    replay_buffer: GroupBuffer

    def __init__(self, config: DictConfig):
        node = config.get("klear")
        values = OmegaConf.to_container(node, resolve=True) if node else {}
        assert isinstance(values, dict)
        self.klear = parse_config(KlearConfig, {str(key): value for key, value in values.items()}, "klear")
        check_klear_sync(config)
        _check_clip_range(config.actor_rollout_ref.actor)
        super().__init__(config)
        self.replay_buffer.poll_interval = self.klear.poll_interval_s

    @property
    def trainer_mode(self) -> str:
        """verl behaves asynchronously in six places for any name but "sync"; this trainer is synchronous."""
        return "sync"

    @trainer_mode.setter
    def trainer_mode(self, name: str) -> None:
        """verl's constructor assigns the registered name here; the mode stays "sync"."""

    # ------------------------------------------------------------------ start

    def _setup(self) -> None:
        announce("loading the model and starting the rollout engine")
        super()._setup()

    def on_init_end(self) -> None:
        announce("sending the weights to the rollout engine")
        super().on_init_end()
        self.actor_rollout_wg.set_loss_fn(self._loss_function())
        if self.use_critic:
            self.critic_wg.set_loss_fn(partial(loss.klear_value_loss, omega_conf_to_dataclass(self.config.critic)))

    @property
    def _alpha(self) -> float:
        return float(OmegaConf.select(self.config, POSITIVE_LM) or 0.0)

    def _loss_function(self) -> Any:
        actor = omega_conf_to_dataclass(self.config.actor_rollout_ref.actor)
        actor.model_config = omega_conf_to_dataclass(self.config.actor_rollout_ref.model)
        return partial(loss.klear_loss, actor, self._alpha, str(self._samples_dir))

    def fit(self, agent_loop_manager: Any) -> None:
        announce(f"training from step {self.global_steps + 1} to {self.total_training_steps}")
        super().fit(agent_loop_manager)

    # ------------------------------------------------------------------ prompts

    @property
    def _prompts_at_a_time(self) -> int:
        return self.klear.groups.generate or int(self.config.data.train_batch_size)

    def _build_replay_buffer(self) -> GroupBuffer:
        # Here, since importing verl's replay buffer imports its trainers, and with them this module.
        from klear_verl.trainer.rollouts.buffer import GroupBuffer

        sampler = self.config.trainer.v1.sampler
        buffer = GroupBuffer(
            trainer_mode="sync",
            trainer_config=self.config.trainer.v1.get("sync", {}),
            max_off_policy_threshold=sampler.max_off_policy_threshold,
            max_off_policy_strategy=sampler.max_off_policy_strategy,
            sampler_kwargs=sampler.sampler_kwargs,
            refill_fn=self._add_prompts_to_generate,
        )
        buffer.configure(
            self.klear.groups,
            self.klear.overlong,
            batch_size=int(self.config.data.train_batch_size),
            max_response_length=int(self.config.actor_rollout_ref.rollout.response_length),
            check_alive=self._check_alive,
            least_live=least_live(self.config),
        )
        return buffer

    def _init_dataloader(self) -> None:
        """Fetches as many prompts at a time as are generated at a time, and counts steps by the prompts that they use
        up. In mode "refill" prompts come one by one, and, as in verl, a step counts as those that it trains on: how
        many it will use up nobody knows."""
        refill = self.klear.groups.mode == "refill"
        with open_dict(self.config):
            self.config.data.gen_batch_size = 1 if refill else self._prompts_at_a_time
        super()._init_dataloader()
        self.data_identity = data_identity(self.train_dataset)
        if refill or (used := self._prompts_at_a_time) == self.config.data.train_batch_size:
            return
        self.steps_per_epoch = len(self.train_dataset) // used
        if self.config.trainer.total_training_steps is None:
            self.total_training_steps = self.steps_per_epoch * self.config.trainer.total_epochs
            with open_dict(self.config):
                for role in ("actor_rollout_ref.actor", "critic"):
                    if OmegaConf.select(self.config, f"{role}.optim"):
                        OmegaConf.update(self.config, f"{role}.optim.total_training_steps", self.total_training_steps)

    def prepare_step(self) -> dict[str, Any]:
        self.replay_buffer.begin_step()
        result: dict[str, Any] = super().prepare_step()
        return result

    def _next_train_batch(self, num_prompts: int | None = None) -> TensorDict:
        return super()._next_train_batch(num_prompts or self._prompts_at_a_time)

    def _submit_batch_to_rollout(self, batch: TensorDict) -> int:
        self.replay_buffer.submitted(list(batch["uid"]))
        return int(super()._submit_batch_to_rollout(batch))

    def _check_alive(self) -> None:
        """Raises Ray's error if a process that generates has died: its prompts would stay "running" for ever."""
        pings = [worker.__ray_ready__.remote() for worker in self.agent_loop_manager.agent_loop_workers]
        answered, _ = ray.wait(pings, num_returns=len(pings), timeout=1.0)
        ray.get(answered)

    # ------------------------------------------------------------------ which rollouts train

    def _step_once(self, metrics: dict[str, Any], timing_raw: dict[str, Any], sample_batch_size: int) -> KVBatchMeta:
        try:
            batch = super()._step_once(metrics, timing_raw, sample_batch_size)
        except _NoSignal as skipped:
            metrics["klear/skipped_steps"] = 1.0
            return self._without_signal(skipped.batch)
        metrics["klear/skipped_steps"] = 0.0
        return batch

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict[str, Any], **kwargs: Any) -> KVBatchMeta:
        """Where verl pads and balances the sampled batch: here the groups that train are chosen and laid out as
        mini-batches, and all other rows leave before any forward pass."""
        self._refuse_lost_rollouts(metrics)
        made = self.replay_buffer.made
        metrics.update(self._rollout_metrics(made))
        self._selection = select(made, self.klear.groups, int(self.config.data.train_batch_size))
        metrics.update(group_metrics(self._selection, self.klear.overlong))
        if not self._selection.trained:
            raise _NoSignal(batch)
        return self._lay_out(batch, self._selection, metrics)

    def _refuse_lost_rollouts(self, metrics: dict[str, Any]) -> None:
        """Before anything is padded up without a word."""
        expected = self.replay_buffer.prompts * int(self.config.actor_rollout_ref.rollout.n)
        arrived = sum(len(group.responses) for group in self.replay_buffer.made)
        metrics["klear/lost_rollouts"] = float(expected - arrived)
        if expected - arrived > self.klear.max_lost_rollouts or not arrived:
            raise LostRollouts(
                f"step {self.global_steps}: {expected - arrived} of {expected} responses were lost: generation or "
                "scoring raised",
                "the errors stand in the run's log.txt ('Error in _run_prompt'); "
                "klear.max_lost_rollouts=N lets N go per step",
            )

    def _rollout_metrics(self, made: Sequence[Any]) -> dict[str, float]:
        responses = [response for group in made for response in group.responses]
        return response_metrics(responses) | judge_metrics([response.info for response in responses])

    def _lay_out(self, batch: KVBatchMeta, selection: Selection, metrics: dict[str, Any]) -> KVBatchMeta:
        ranks = self._data_parallel_size()
        rows_of_group = [sum(len(response.keys) for response in group.live) for group in selection.trained]
        prompts = int(self.config.actor_rollout_ref.actor.ppo_mini_batch_size)
        mini_batches = split_groups(rows_of_group, prompts, prompts * int(self.config.actor_rollout_ref.rollout.n))

        live_keys = [[key for response in group.live for key in response.keys] for group in selection.trained]
        chosen = batch.select_keys([key for keys in live_keys for key in keys])
        if left := sorted(set(batch.keys) - set(chosen.keys)):
            tq.kv_clear(partition_id=batch.partition_id, keys=left)
        padded = upsample_batch_to_divisible_size(chosen, mini_batches.total_rows, self.tokenizer.eos_token_id)
        padding = padded.keys[len(chosen.keys) :]
        return self._ordered(padded, mini_batches.fill(live_keys, padding), ranks, metrics)

    def _ordered(
        self, batch: KVBatchMeta, keys_of_mini_batch: list[list[str]], ranks: int, metrics: dict[str, Any]
    ) -> KVBatchMeta:
        place = {key: index for index, key in enumerate(batch.keys)}
        self._mini_batch_of = {key: number for number, keys in enumerate(keys_of_mini_batch) for key in keys}
        lengths = [[batch.tags[place[key]]["seq_len"] for key in keys] for keys in keys_of_mini_batch]
        order = row_order(lengths, ranks, _balance)
        numbered = [place[key] for keys in keys_of_mini_batch for key in keys]
        batch.reorder([numbered[row] for row in order])
        share = len(order) // ranks
        partitions = [order[rank * share : (rank + 1) * share] for rank in range(ranks)]
        flat = [length for mini_batch in lengths for length in mini_batch]
        metrics.update(log_seqlen_unbalance(seqlen_list=flat, partitions=partitions, prefix="global_seqlen"))
        return batch

    def _data_parallel_size(self) -> int:
        group = self.actor_rollout_wg
        if "actor" not in group._dispatch_info:
            group._dispatch_info["actor"] = group._query_dispatch_info("actor")
        return int(max(group._dispatch_info["actor"])) + 1

    def _without_signal(self, batch: KVBatchMeta) -> KVBatchMeta:
        """All rows of a step in which nothing trains, with advantages of 0, which verl's metrics ask for. No forward
        pass looks at the model here, and a model of NaN generates nothing but groups without signal: the rollout's own
        log-probabilities are looked at instead."""
        names = ["prompts", "responses", "response_mask"]
        if self.config.actor_rollout_ref.rollout.calculate_log_probs:
            names.append("rollout_log_probs")
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=names)
        if "rollout_log_probs" in data:
            self._stop_if_not_finite(data, "rollout_log_probs")
        zeros = nested([torch.zeros(mask.shape[0]) for mask in data["response_mask"].unbind()])
        fields = TensorDict({"advantages": zeros, "returns": zeros.clone()}, batch_size=len(batch))
        if self.use_critic:
            fields["values"] = zeros.clone()
        announce(f"step {self.global_steps}: no group with signal, nothing to train on")
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)

    # ------------------------------------------------------------------ advantages and update

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        batch = super()._compute_old_log_prob(batch, metrics)
        seen = [metrics.get(name, 0.0) for name in ("actor/entropy", "training/rollout_probs_diff_mean")]
        if not all(math.isfinite(value) for value in seen):
            log_probs = ["old_log_probs"]
            if self.config.actor_rollout_ref.rollout.calculate_log_probs:
                log_probs.append("rollout_log_probs")
            fields = ["prompts", "responses", "response_mask", *log_probs]
            data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
            for field in log_probs:
                self._stop_if_not_finite(data, field)
        return batch

    def _stop_if_not_finite(self, data: TensorDict, field: str) -> None:
        padded = data.select("response_mask", field).to_padded_tensor()
        if not torch.isfinite(padded[field][padded["response_mask"].bool()]).all():
            stop_on_non_finite(str(self._samples_dir), field, padded[field], padded, data, self.tokenizer)

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """verl's advantages over the rewards after our penalties; then what a worker must know of its mini-batch."""
        responses = self._responses_of_rows(batch.keys)
        if self.klear.overlong.mode == "penalty":
            put_rewards(batch, responses)
        # Without the padding: estimators and metrics of verl's count rows, whatever their masks.
        rows = list(zip(batch.keys, responses, strict=True))
        padding = [key for key, response in rows if response is None]
        super()._compute_advantage(batch.select_keys([key for key, response in rows if response is not None]), metrics)
        if padding:
            put_padding(batch.select_keys(padding), self._advantage_fields())
        if level := self._level_rows(batch.keys):
            zero_advantages(batch, level)
        if self._alpha:
            for response in filter(None, responses):
                response.require_acc()
        rejected = bool(OmegaConf.select(self.config, "algorithm.rollout_correction.rollout_rs"))
        mini_batches = [self._mini_batch_of[key] for key in batch.keys]
        return put_sample_fields(batch, responses, mini_batches, metrics, masks=rejected)

    def _advantage_fields(self) -> list[str]:
        """What verl's `_compute_advantage` puts into the queue for the first time."""
        algorithm = self.config.algorithm
        fields = ["advantages", "returns"]
        if algorithm.use_kl_in_reward:
            fields.append("token_level_rewards")
        if OmegaConf.select(algorithm, "rollout_correction.rollout_is"):
            fields.append("rollout_is_weights")
        return fields

    def _responses_of_rows(self, keys: Sequence[str]) -> list[Response | None]:
        """The response of each row; None for padding."""
        by_key = {
            key: response for group in self._selection.trained for response in group.live for key in response.keys
        }
        return [by_key.get(key) for key in keys]

    def _level_rows(self, keys: Sequence[str]) -> set[int]:
        """Rows whose group has one reward throughout (mode "keep", or a criterion that the reward does not follow):
        rounding in the group's mean, divided by a standard deviation of 0 and verl's 1e-6, must not become a signal."""
        if not level_groups_have_no_advantage(self.config):
            return set()
        level = {
            key
            for group in self._selection.trained
            if len({response.reward for response in group.live}) == 1
            for response in group.live
            for key in response.keys
        }
        return {row for row, key in enumerate(keys) if key in level}

    def _update_actor(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        batch = super()._update_actor(batch, metrics)
        loss.finish_diagnostics(metrics)
        if not math.isfinite(norm := metrics.get("actor/grad_norm", 0.0)):
            raise NonFiniteGradient(
                f"step {self.global_steps}: the gradient norm is {norm}; verl left the weights as they were",
                "go on from the last checkpoint with a lower learning rate, or look at the batch of this step with "
                "trainer.rollout_data_dir",
            )
        return batch

    # ------------------------------------------------------------------ validation and checkpoints

    def _val_metrics_update(
        self, data_sources: Any, sample_uids: Any, infos: dict[str, list[Any]], *rest: Any, **more: Any
    ) -> dict[str, float]:
        """verl's validation statistics for `acc`, and the mean alone for the other scores: verl's bootstrap of best and
        worst costs 25 ms per prompt and key. The judge's figures have no place among them."""
        scores = {key: values for key, values in infos.items() if key not in JUDGE_KEYS}
        if "acc" not in scores:
            return super()._val_metrics_update(data_sources, sample_uids, scores, *rest, **more)
        others = {key: values for key, values in scores.items() if key != "acc"}
        accuracy = super()._val_metrics_update(data_sources, sample_uids, {"acc": scores["acc"]}, *rest, **more)
        return accuracy | validation_means(data_sources, sample_uids, others)

    def _save_checkpoint(self) -> None:
        checkpoints.save(self, super()._save_checkpoint)

    def _load_checkpoint(self) -> None:
        checkpoints.clear_incomplete(self.config)
        super()._load_checkpoint()
        if self.global_steps:
            trainer = self.config.trainer
            named = trainer.resume_from_path if trainer.resume_mode == "resume_path" else None
            folder = Path(named or f"{trainer.default_local_dir}/global_step_{self.global_steps}")
            check_identity(folder, self.data_identity)

    @property
    def _samples_dir(self) -> Path:
        """Beside the checkpoints, which every node of a cluster sees."""
        folder = self.klear.run_dir or os.path.dirname(os.path.abspath(self.config.trainer.default_local_dir))
        return Path(folder) / "non_finite"


def _check_clip_range(actor: DictConfig) -> None:
    """GPPO's, which the workers would look at only after the first generation."""
    if actor.policy_loss.loss_mode == "gppo":
        ClipRange.from_actor(actor, GPPOLossConfig.from_policy_loss(actor.policy_loss).dual_clip)


def _balance(lengths: Sequence[int], parts: int) -> list[list[int]]:
    """verl's own balancing of attention work."""
    work = calculate_workload(torch.tensor(lengths, dtype=torch.int64))
    shares: list[list[int]] = get_seqlen_balanced_partitions(work, k_partitions=parts, equal_size=True)
    return shares
