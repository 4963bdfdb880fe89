# SPDX-License-Identifier: Apache-2.0
"""One step of the trainer `klear_sync`, as verl's `fit` runs it: all of it is verl's code and ours, over verl's queue,
but for the agent loops and the workers (`stand_ins`).

    done = step([RIGHT, WRONG, WRONG], [RIGHT, RIGHT, WRONG], klear={"groups": {"mode": "keep"}})
"""

from __future__ import annotations

import itertools
import string
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transfer_queue as tq
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict
from tensordict.tensorclass import NonTensorStack
from verl.utils.debug import marked_timer

from klear_verl.trainer.config import KlearConfig
from klear_verl.trainer.klear_sync import KlearSyncTrainer
from tests.trainer.step.answers import LIMIT, Answer, name_of
from tests.trainer.step.in_process_queue import empty_queue, fetch, keys_in_queue
from tests.trainer.step.stand_ins import STEP, AgentLoops, Workers


@dataclass
class Done:
    """What a step left behind: verl's and our metrics; the names of the rows in `batch`; `fields[name][field]` of every
    row but padding, `padding[field]` of each padding row; and the names in the queue when verl's `fit` had cleared it.
    """

    metrics: dict[str, float]
    names: list[str]
    fields: dict[str, dict[str, Any]]
    padding: dict[str, list[Any]]
    left: list[str]
    workers: Workers

    @property
    def advantages(self) -> dict[str, float]:
        """Of each response: that of its every token that trains; the others must have 0."""
        return {name: _one_advantage(row) for name, row in self.fields.items()}

    @property
    def mini_batches(self) -> list[list[str]]:
        """The sorted names in each mini-batch, over all ranks."""
        return [sorted(itertools.chain(*parts)) for parts in zip(*self.workers.shares, strict=True)]


def run_step(folder: Path, *groups: Sequence[Answer], **options: Any) -> Done:
    """Generates these groups and trains on them; `options` are those of `make_trainer`."""
    empty_queue()
    trainer = make_trainer(folder, *groups, **options)
    metrics: dict[str, Any] = {}
    timing: dict[str, float] = {}
    with marked_timer("step", timing):
        batch = trainer.step(metrics, timing)
    trainer._compute_metrics(batch, metrics, timing, global_steps=STEP, epoch=0)

    columns = {name: _unbound(column) for name, column in fetch(batch, batch.fields).items()}
    fields, padding = {}, defaultdict(list)
    for number, (key, tag) in enumerate(zip(batch.keys, batch.tags, strict=True)):
        row = {name: column[number] for name, column in columns.items()}
        if tag.get("is_padding"):
            for name, value in row.items():
                padding[name].append(value)
        else:
            fields[name_of(key)] = row
    tq.kv_clear(keys=batch.keys, partition_id=batch.partition_id)
    names = [name_of(key) for key in batch.keys]
    left = [name_of(key) for key in keys_in_queue()]
    return Done(metrics, names, fields, dict(padding), left, trainer.actor_rollout_wg)


def make_trainer(
    folder: Path,
    *groups: Sequence[Answer],
    klear: Mapping[str, Any] | None = None,
    batch_size: int = 4,
    mini_batch_size: int = 4,
    ranks: Sequence[int] = (0,),
    log_probs: Mapping[str, Mapping[int, float]] | None = None,
    grad_norm: float = 1.0,
    algorithm: Mapping[str, Any] | None = None,
    rollout: Mapping[str, Any] | None = None,
    actor: Mapping[str, Any] | None = None,
) -> KlearSyncTrainer:
    """A trainer that stands before its step.

    Args:
        folder: of the run.
        groups: what comes of each prompt; all are generated at once.
        klear: the configuration's node of that name.
        batch_size, mini_batch_size: `data.train_batch_size` and `ppo_mini_batch_size`, in prompts.
        ranks: the data-parallel rank of each process.
        log_probs, grad_norm: see `Workers`.
        algorithm, rollout, actor: more of these nodes.
    """
    uids = list(string.ascii_lowercase[: len(groups)])
    trainer_class = type("Trainer", (KlearSyncTrainer,), {"prompts_per_step": len(groups)})
    trainer = trainer_class.__new__(trainer_class)
    trainer.trainer_mode = "sync"
    trainer.config = _config(folder, len(groups), max(map(len, groups)), batch_size, mini_batch_size)
    trainer.config.algorithm.merge_with(algorithm or {})
    trainer.config.actor_rollout_ref.rollout.merge_with(rollout or {})
    trainer.config.actor_rollout_ref.actor.merge_with(actor or {})
    trainer.klear = KlearConfig.model_validate({"run_dir": str(folder), **(klear or {})})
    trainer.global_steps, trainer.parameter_sync_step = STEP, 1
    trainer.use_critic = trainer.use_reference_policy = trainer.curr_step_profile = False
    trainer.tokenizer = SimpleNamespace(eos_token_id=1, decode=lambda ids: " ".join(map(str, ids)))
    trainer.actor_rollout_wg = Workers(ranks, log_probs or {}, grad_norm)
    trainer.agent_loop_manager = AgentLoops(dict(zip(uids, groups, strict=True)))
    trainer.checkpoint_manager = SimpleNamespace(sleep_replicas=lambda: None)
    trainer.reward_loop_manager = SimpleNamespace(reward_loop_worker_handles=[])
    trainer.resource_pool_manager = SimpleNamespace(get_n_gpus=lambda: 1)
    trainer._rollout_moe_lb_metrics_accumulator = None
    trainer._fetch_one_gen_batch = lambda: _prompts(uids)
    trainer.replay_buffer = trainer.build_replay_buffer()
    return trainer


def _prompts(uids: Sequence[str]) -> TensorDict:
    return TensorDict({"uid": NonTensorStack(*uids)}, batch_size=len(uids))


def _unbound(column: Any) -> list[Any]:
    return list(column.unbind()) if isinstance(column, torch.Tensor) else column.tolist()


def _one_advantage(row: Mapping[str, torch.Tensor]) -> float:
    live = row["response_mask"].bool()
    assert not row["advantages"][~live].any()
    values = set(row["advantages"][live].tolist()) or {0.0}
    assert len(values) == 1
    return values.pop()


def _config(folder: Path, prompts: int, n: int, batch_size: int, mini_batch_size: int) -> DictConfig:
    actor = {
        "ppo_mini_batch_size": mini_batch_size,
        "ppo_epochs": 1,
        "data_loader_seed": 42,
        "shuffle": False,
        "calculate_entropy": False,
        "entropy_coeff": 0.0,
        "loss_agg_mode": "token-mean",
        "loss_scale_factor": None,
    }
    rollout = {"n": n, "response_length": LIMIT, "calculate_log_probs": True, "temperature": 1.0}
    sampler = {"max_off_policy_threshold": None, "max_off_policy_strategy": "drop", "sampler_kwargs": {}}
    return OmegaConf.create(
        {
            "data": {"train_batch_size": batch_size, "gen_batch_size": prompts},
            "trainer": {
                "critic_warmup": 0,
                "default_local_dir": str(folder / "checkpoints"),
                "v1": {"sync": {}, "sampler": sampler},
            },
            "algorithm": {"use_kl_in_reward": False, "adv_estimator": "grpo", "gamma": 1.0, "lam": 1.0},
            "actor_rollout_ref": {"model": {}, "rollout": rollout, "actor": actor},
        }
    )
