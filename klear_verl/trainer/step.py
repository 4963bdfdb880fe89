# SPDX-License-Identifier: Apache-2.0
"""What any trainer of ours does between rollout and gradient: which groups train, how they are packed, advantages, the
loss function, diagnostics, stops, and checkpoints that are complete or absent.

`StepPipeline` goes before one of verl's v1 trainers among the bases of a class (`klear_sync.py`). It knows nothing of
when prompts are generated or weights are sent; it needs a replay buffer that offers the `groups` of the batch it
sampled.

verl 0.9.1 has no public place for most of this. Each private method that is overridden here names the hook that would
replace it; the hooks are written down as patches in upstream/.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transfer_queue as tq
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions, log_seqlen_unbalance

from klear_verl.algorithm.config import ClipRange, GPPOLossConfig
from klear_verl.data.identity import check_identity
from klear_verl.reward.score import JUDGE_KEYS
from klear_verl.trainer import checkpoints, loss, packing
from klear_verl.trainer.compatibility import zero_std_groups_have_no_advantage
from klear_verl.trainer.config import POSITIVE_LM, KlearConfig
from klear_verl.trainer.packing import fill, row_order, split_groups
from klear_verl.trainer.rollouts import (
    Fate,
    Group,
    Response,
    group_metrics,
    judge_metrics,
    response_metrics,
    select,
    validation_means,
)
from klear_verl.utils.config import parse_config
from klear_verl.utils.progress import announce

if TYPE_CHECKING:
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer
else:
    # A mixin in name only: importing verl's trainers imports klear_sync, which imports this module.
    PPOTrainer = object


class _NothingToTrain(Exception):
    """Leaves verl's `_step_once`: no group of this step can train. Carries all rows of the step."""

    def __init__(self, batch: KVBatchMeta):
        super().__init__("no group with signal")
        self.batch = batch


class StepPipeline(PPOTrainer):
    """See the module's docstring."""

    klear: KlearConfig
    _selected: dict[Fate, list[Group]]
    _mini_batch_of: dict[str, int]

    def read_config(self, config: DictConfig) -> None:
        """Sets `klear`, and refuses a clip range that the workers would look at only after the first generation.

        Raises:
            ConfigError: an unknown or ill-typed key.
        """
        node = config.get("klear")
        values = OmegaConf.to_container(node, resolve=True) if node else {}
        assert isinstance(values, dict)
        self.klear = parse_config(KlearConfig, {str(key): value for key, value in values.items()}, "klear")
        actor = config.actor_rollout_ref.actor
        if actor.policy_loss.loss_mode == "gppo":
            ClipRange.from_actor(actor, GPPOLossConfig.from_policy_loss(actor.policy_loss).dual_clip)

    # ------------------------------------------------------------------ the loss function

    def on_init_end(self) -> None:
        """Gives the workers our loss functions."""
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

    # ------------------------------------------------------------------ which rollouts train

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, Any]) -> KVBatchMeta:
        """As verl's, with the diagnostics finished once its updates have been averaged.

        Raises:
            NonFiniteGradient: before a checkpoint is saved.
        """
        batch = super().step(metrics, timing_raw)
        loss.finish_diagnostics(metrics)
        if not math.isfinite(norm := metrics.get("actor/grad_norm", 0.0)):
            raise loss.NonFiniteGradient(
                f"step {self.global_steps}: the gradient norm is {norm}; verl left the weights as they were",
                "go on from the last checkpoint with a lower learning rate, or look at the batch of this step with "
                "trainer.rollout_data_dir",
            )
        return batch

    def _step_once(self, metrics: dict[str, Any], timing_raw: dict[str, Any], sample_batch_size: int) -> KVBatchMeta:
        """A step without a group that trains ends after sampling. Replaced by: `select_rollouts` returning None
        (upstream/trainer_hooks.patch)."""
        try:
            batch = super()._step_once(metrics, timing_raw, sample_batch_size)
        except _NothingToTrain as skipped:
            metrics["klear/skipped_steps"] = 1.0
            return self._without_signal(skipped.batch)
        metrics["klear/skipped_steps"] = 0.0
        return batch

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict[str, Any], **kwargs: Any) -> KVBatchMeta:
        """Where verl pads and balances the sampled batch, the groups that train are chosen and packed as mini-batches;
        all other rows leave before any forward pass. Replaced by: `select_rollouts` and `balance_batch`
        (upstream/trainer_hooks.patch)."""
        groups = self.replay_buffer.groups
        responses = [response for group in groups for response in group.responses]
        metrics |= response_metrics(responses) | judge_metrics([response.info for response in responses])
        self._selected = select(groups, self.klear.groups, int(self.config.data.train_batch_size))
        metrics |= group_metrics(self._selected, self.klear.overlong)
        if not self._selected["trained"]:
            raise _NothingToTrain(batch)
        return self._pack(batch, metrics)

    def _pack(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """Drops the rows that do not train, fills up mini-batches of whole groups, and orders the rows so that verl
        cuts them there."""
        live = [[key for response in group.live for key in response.keys] for group in self._selected["trained"]]
        prompts = int(self.config.actor_rollout_ref.actor.ppo_mini_batch_size)
        rows = prompts * int(self.config.actor_rollout_ref.rollout.n)
        parts = split_groups([len(keys) for keys in live], prompts, rows)

        chosen = batch.select_keys([key for keys in live for key in keys])
        if left := sorted(set(batch.keys) - set(chosen.keys)):
            tq.kv_clear(partition_id=batch.partition_id, keys=left)
        padded = upsample_batch_to_divisible_size(chosen, rows * len(parts), self.tokenizer.eos_token_id)
        mini_batches = fill(parts, live, padded.keys[len(chosen.keys) :], rows)
        self._mini_batch_of = {key: number for number, keys in enumerate(mini_batches) for key in keys}
        return self._ordered(padded, mini_batches, metrics)

    def _ordered(
        self, batch: KVBatchMeta, mini_batches: Sequence[Sequence[str]], metrics: dict[str, Any]
    ) -> KVBatchMeta:
        ranks = self._data_parallel_size
        place = {key: index for index, key in enumerate(batch.keys)}
        lengths = [[batch.tags[place[key]]["seq_len"] for key in keys] for keys in mini_batches]
        order = row_order(lengths, ranks, _balance)
        numbered = [place[key] for keys in mini_batches for key in keys]
        batch.reorder([numbered[row] for row in order])
        share = len(order) // ranks
        partitions = [order[rank * share : (rank + 1) * share] for rank in range(ranks)]
        flat = [length for mini_batch in lengths for length in mini_batch]
        metrics |= log_seqlen_unbalance(seqlen_list=flat, partitions=partitions, prefix="global_seqlen")
        return batch

    @cached_property
    def _data_parallel_size(self) -> int:
        """Replaced by: `actor_rollout_wg.data_parallel_size("actor")` (upstream/worker_group.patch)."""
        ranks: list[int] = self.actor_rollout_wg._query_dispatch_info("actor")
        return max(ranks) + 1

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
        fields = ["advantages", "returns"] + (["values"] if self.use_critic else [])
        announce(f"step {self.global_steps}: no group with signal, nothing to train on")
        return packing.put_zeros(batch, fields)

    # ------------------------------------------------------------------ advantages

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """verl's advantages over the rewards after our penalties; then what a worker must know of its mini-batch.
        Replaced by: `compute_advantage` (upstream/trainer_hooks.patch)."""
        self._stop_on_log_probs(batch, metrics)
        responses = self._responses_of_rows(batch.keys)
        if self.klear.overlong.mode == "penalty":
            packing.put_rewards(batch, responses)
        # Without the padding: estimators and metrics of verl's count rows, whatever their masks.
        rows = list(zip(batch.keys, responses, strict=True))
        padding = [key for key, response in rows if response is None]
        super()._compute_advantage(batch.select_keys([key for key, response in rows if response is not None]), metrics)
        if padding:
            packing.put_zeros(batch.select_keys(padding), self._advantage_fields())
        if zero_std := self._zero_std_rows(batch.keys):
            packing.zero_advantages(batch, zero_std)
        if self._alpha:
            for response in filter(None, responses):
                response.require_acc()
        rejected = bool(OmegaConf.select(self.config, "algorithm.rollout_correction.rollout_rs"))
        mini_batches = [self._mini_batch_of[key] for key in batch.keys]
        return packing.put_sample_fields(batch, responses, mini_batches, metrics, masks=rejected)

    def _stop_on_log_probs(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> None:
        """Where a mean that verl logs is no number, looks at the log-probabilities themselves."""
        seen = [metrics.get(name, 0.0) for name in ("actor/entropy", "training/rollout_probs_diff_mean")]
        if all(math.isfinite(value) for value in seen):
            return
        log_probs = ["old_log_probs"]
        if self.config.actor_rollout_ref.rollout.calculate_log_probs:
            log_probs.append("rollout_log_probs")
        fields = ["prompts", "responses", "response_mask", *log_probs]
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
        for field in log_probs:
            self._stop_if_not_finite(data, field)

    def _stop_if_not_finite(self, data: TensorDict, field: str) -> None:
        padded = data.select("response_mask", field).to_padded_tensor()
        if not torch.isfinite(padded[field][padded["response_mask"].bool()]).all():
            loss.stop_on_non_finite(str(self._samples_dir), field, padded[field], padded, data, self.tokenizer)

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
            key: response for group in self._selected["trained"] for response in group.live for key in response.keys
        }
        return [by_key.get(key) for key in keys]

    def _zero_std_rows(self, keys: Sequence[str]) -> set[int]:
        """Rows whose group has one reward throughout (mode "keep", or a criterion that the reward does not follow):
        rounding in the group's mean, divided by a standard deviation of 0 and verl's 1e-6, must not become a signal."""
        if not zero_std_groups_have_no_advantage(self.config):
            return set()
        zero_std = {
            key
            for group in self._selected["trained"]
            if len({response.reward for response in group.live}) == 1
            for response in group.live
            for key in response.keys
        }
        return {row for row, key in enumerate(keys) if key in zero_std}

    # ------------------------------------------------------------------ validation and checkpoints

    def _val_metrics_update(
        self, data_sources: Any, sample_uids: Any, infos: dict[str, list[Any]], *rest: Any, **more: Any
    ) -> dict[str, float]:
        """verl's validation statistics for `acc`, and the mean alone for the other scores: verl's bootstrap of best and
        worst costs 25 ms per prompt and key. The judge's figures have no place among them. Replaced by:
        `compute_validation_metrics` (upstream/trainer_hooks.patch)."""
        scores = {key: values for key, values in infos.items() if key not in JUDGE_KEYS}
        if "acc" not in scores:
            return super()._val_metrics_update(data_sources, sample_uids, scores, *rest, **more)
        others = {key: values for key, values in scores.items() if key != "acc"}
        accuracy = super()._val_metrics_update(data_sources, sample_uids, {"acc": scores["acc"]}, *rest, **more)
        return accuracy | validation_means(data_sources, sample_uids, others)

    def _save_checkpoint(self) -> None:
        """Replaced by: `save_checkpoint` (upstream/trainer_hooks.patch)."""
        checkpoints.save(self, super()._save_checkpoint)

    def _load_checkpoint(self) -> None:
        """Replaced by: `load_checkpoint` (upstream/trainer_hooks.patch)."""
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


def _balance(lengths: Sequence[int], parts: int) -> list[list[int]]:
    """verl's own balancing of attention work."""
    work = calculate_workload(torch.tensor(lengths, dtype=torch.int64))
    shares: list[list[int]] = get_seqlen_balanced_partitions(work, k_partitions=parts, equal_size=True)
    return shares
