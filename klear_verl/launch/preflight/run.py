# SPDX-License-Identifier: Apache-2.0
"""The order of the checks for an RL and for an SFT run: cheap ones first, and every check that can still run after
another has failed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from klear_verl.errors import KlearError
from klear_verl.launch.compose import explain_hydra_error
from klear_verl.launch.preflight import batches, groups, machine, nodes, parallel, ray_cluster
from klear_verl.launch.preflight.data import check_rl_data, check_sft_data
from klear_verl.launch.preflight.lengths import Tokenizer, load_tokenizer
from klear_verl.launch.preflight.model import ModelFacts, check_model
from klear_verl.launch.preflight.names import check_registered_names
from klear_verl.reward.config import WHERE, RewardConfig, reward_config
from klear_verl.trainer import checkpoints
from klear_verl.trainer.compatibility import check_refused, uses_critic
from klear_verl.trainer.config import KlearConfig
from klear_verl.utils.config import parse_config

logger = logging.getLogger(__name__)
T = TypeVar("T")


class _Findings:
    """Runs checks one by one and keeps what they raise, so that one start shows every problem."""

    def __init__(self) -> None:
        self.problems: list[KlearError] = []
        self.notes: list[str] = []

    def run(self, check: Callable[..., T], *args: Any, **kwargs: Any) -> T | None:
        try:
            return check(*args, **kwargs)
        except KlearError as error:
            if str(error) not in map(str, self.problems):  # two checks may look at one thing
                self.problems.append(error)
            return None


def check_rl_config(cfg: DictConfig) -> None:
    """Checks a composed RL configuration and this machine.

    Raises:
        KlearError: the problem, of the class of the first one; several are numbered in one message.
    """
    _raise(*rl_problems(cfg))


def check_sft_config(cfg: DictConfig, world_size: int | None = None) -> None:
    """Checks a composed SFT configuration and this machine.

    Args:
        cfg: the configuration.
        world_size: number of processes that will be launched; None: trainer.nnodes * trainer.n_gpus_per_node.

    Raises:
        KlearError: as check_rl_config.
    """
    _raise(*sft_problems(cfg, world_size))


def rl_problems(cfg: DictConfig) -> tuple[list[KlearError], list[str]]:
    """All problems of an RL configuration, and the notes for the user."""
    found = _Findings()
    if (resolved := found.run(_resolved, cfg)) is None:
        return found.problems, found.notes
    cfg = resolved
    klear = found.run(parse_config, KlearConfig, _plain(cfg, "klear"), "klear")
    ours = OmegaConf.select(cfg, "reward.reward_manager.name") == "klear"
    reward: RewardConfig | None = found.run(reward_config, _plain(cfg, WHERE)) if ours else None
    found.run(check_registered_names, cfg)
    found.run(batches.check_rl_batches, cfg)
    found.run(batches.check_rollout_scheduler, cfg)
    if klear is not None:
        found.run(groups.check_groups, cfg, klear)
        found.notes += groups.unused(cfg, klear)
    found.run(check_refused, cfg)
    found.run(parallel.check_attention, cfg, "actor_rollout_ref.model")
    facts = _model(found, cfg, "actor_rollout_ref.model")
    if uses_critic(cfg):
        _model(found, cfg, "critic.model")
    tokenizer = None
    if facts is not None:
        found.run(batches.check_context, cfg, facts)
        found.run(parallel.check_rl_heads, cfg, facts)
        tokenizer = found.run(_tokenizer, cfg, "actor_rollout_ref.model")
    # With a bad reward schema rows cannot be judged; that problem is in the list already.
    if reward is not None or not ours:
        found.notes += found.run(check_rl_data, cfg, reward, tokenizer) or []
    _rl_machine(found, cfg, facts)
    found.run(nodes.check_shared_paths, cfg, "actor_rollout_ref.model.path")
    found.run(ray_cluster.check_auth_mode)
    ray_init = _plain(cfg, "ray_kwargs.ray_init") or {}
    found.run(ray_cluster.check_ray, ray_init)
    found.run(nodes.check_cluster_for_nodes, int(cfg.trainer.nnodes), ray_init)
    return found.problems, found.notes


def sft_problems(cfg: DictConfig, world_size: int | None = None) -> tuple[list[KlearError], list[str]]:
    """All problems of an SFT configuration, and the notes for the user."""
    found = _Findings()
    if (resolved := found.run(_resolved, cfg)) is None:
        return found.problems, found.notes
    cfg = resolved
    found.run(parse_config, KlearConfig, _plain(cfg, "klear"), "klear")
    ranks = world_size or int(cfg.trainer.nnodes) * int(cfg.trainer.n_gpus_per_node)
    found.run(batches.check_sft_batches, cfg, ranks)
    found.run(parallel.check_attention, cfg, "model")
    facts = _model(found, cfg, "model")
    if facts is not None:
        found.run(parallel.check_sft_heads, cfg, facts)
        found.run(_tokenizer, cfg, "model")
    found.run(nodes.check_shared_paths, cfg, "model.path")
    found.run(check_sft_data, cfg)
    found.run(machine.check_accelerators, cfg.trainer.device, int(cfg.trainer.n_gpus_per_node), int(cfg.trainer.nnodes))
    parameters = facts.parameters if facts else 0
    if cfg.trainer.device == "cpu":
        needed = machine.sft_memory_bytes(ranks, parameters)
        found.run(machine.check_memory, needed, machine.available_memory_bytes())
    _checkpoints(found, cfg, parameters, "trainer.max_ckpt_to_keep")
    if port := os.environ.get("MASTER_PORT"):
        found.run(ray_cluster.check_port_free, port, "MASTER_PORT")
    return found.problems, found.notes


def _rl_machine(found: _Findings, cfg: DictConfig, facts: ModelFacts | None) -> None:
    per_node, nodes = int(cfg.trainer.n_gpus_per_node), int(cfg.trainer.nnodes)
    parameters = facts.parameters if facts else 0
    found.run(machine.check_accelerators, cfg.trainer.device, per_node, nodes)
    if cfg.trainer.device == "cpu":
        actor, algorithm = cfg.actor_rollout_ref.actor, cfg.algorithm
        reference = bool(OmegaConf.select(actor, "use_kl_loss") or OmegaConf.select(algorithm, "use_kl_in_reward"))
        needed = machine.rl_memory_bytes(per_node, parameters, reference_model=reference)
        found.run(machine.check_memory, needed, machine.available_memory_bytes())
        bucket = int(
            OmegaConf.select(cfg, "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes")
        )
        found.run(machine.check_shared_memory, bucket, per_node)
        if facts is not None:
            found.run(machine.check_bucket, bucket, facts)
    _checkpoints(found, cfg, parameters, "trainer.max_actor_ckpt_to_keep")


def _checkpoints(found: _Findings, cfg: DictConfig, parameters: int, keep_key: str) -> None:
    key = "trainer.default_local_dir"
    keep = OmegaConf.select(cfg, keep_key)
    folder = checkpoints.folder_of(cfg)
    saved = len(checkpoints.saved_steps(folder)) if folder else 0
    # One more than are kept, for an old one goes only when the new one is there. An unlimited number cannot be
    # foreseen; two is the least a resumable run has at one time.
    number = max(1, (int(keep) + 1 if keep else 2) - saved)
    needed = 4 * parameters * machine.CHECKPOINT_COPIES * number
    half_written = checkpoints.incomplete_bytes(folder) if folder else 0
    found.run(machine.check_disk, str(OmegaConf.select(cfg, key)), needed, key, keep_key, half_written)


def _model(found: _Findings, cfg: DictConfig, node: str) -> ModelFacts | None:
    return found.run(check_model, OmegaConf.select(cfg, f"{node}.path"), f"{node}.path")


def _tokenizer(cfg: DictConfig, node: str) -> Tokenizer:
    separate = OmegaConf.select(cfg, f"{node}.tokenizer_path")
    key = f"{node}.tokenizer_path" if separate else f"{node}.path"
    return load_tokenizer(
        str(OmegaConf.select(cfg, key)),
        key,
        trust_remote_code=bool(
            OmegaConf.select(cfg, "data.trust_remote_code") or OmegaConf.select(cfg, f"{node}.trust_remote_code")
        ),
        chat_template=OmegaConf.select(cfg, f"{node}.custom_chat_template"),
    )


def _resolved(cfg: DictConfig) -> DictConfig:
    try:
        resolved = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    except OmegaConfBaseException as error:
        raise explain_hydra_error(error, cfg) from error
    assert isinstance(resolved, DictConfig)  # as `cfg` is one
    return resolved


def _plain(cfg: DictConfig, key: str) -> dict[str, Any] | None:
    node = OmegaConf.select(cfg, key)
    return OmegaConf.to_container(node) if node is not None else None  # type: ignore[return-value]


def _raise(problems: list[KlearError], notes: list[str]) -> None:
    for note in notes:
        logger.warning(note)
    if not problems:
        return
    if len(problems) == 1:
        raise problems[0]
    listed = "\n".join(
        f"  {number}. {problem}".replace("\n", "\n   ") for number, problem in enumerate(problems, start=1)
    )
    raise type(problems[0])(
        f"{len(problems)} problems, all found before anything was started:\n{listed}"
    ) from problems[0]
