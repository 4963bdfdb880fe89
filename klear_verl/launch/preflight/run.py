# SPDX-License-Identifier: Apache-2.0
"""The order of the checks for an RL and for an SFT run: cheap ones first, and every check that can still run after
another has failed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from klear_verl.errors import ConfigError, KlearError
from klear_verl.launch.compose import explain_hydra_error
from klear_verl.launch.preflight import batches, machine, ray_cluster
from klear_verl.launch.preflight.data import check_rl_data, check_sft_data
from klear_verl.launch.preflight.lengths import Tokenizer, load_tokenizer
from klear_verl.launch.preflight.model import (
    ModelFacts,
    check_attention,
    check_model,
    check_rl_heads,
    check_sft_heads,
)
from klear_verl.launch.preflight.view import MODEL, TRAINER_MODE, RLView, SFTView, TrainerNode, view_of
from klear_verl.reward.config import WHERE, RewardConfig, reward_config
from klear_verl.trainer import checkpoints
from klear_verl.trainer.compatibility import check_group_size, check_refused, uses_critic
from klear_verl.trainer.config import KlearConfig
from klear_verl.utils.config import did_you_mean, parse_config

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
    if (view := found.run(view_of, RLView, cfg)) is None:
        return found.problems, found.notes
    view = view.model_copy(update={"klear": klear or KlearConfig()})
    found.run(check_registered_names, view)
    found.run(check_group_size, cfg)
    found.run(batches.check_rl_batches, view)
    found.run(batches.check_rollout_scheduler, view)
    found.run(batches.check_groups, view)
    found.notes += batches.unused_nodes(view)
    found.run(check_refused, cfg)
    found.run(check_attention, view.model, MODEL, view.trainer.device)
    facts = found.run(check_model, view.model.path, f"{MODEL}.path")
    if uses_critic(cfg):
        found.run(check_model, view.critic.model.path, "critic.model.path")
    tokenizer = None
    if facts is not None:
        found.run(batches.check_context, view, facts)
        found.run(check_rl_heads, view, facts)
        tokenizer = found.run(_tokenizer, view, MODEL)
    # With a bad reward schema rows cannot be judged; that problem is in the list already.
    if reward is not None or not ours:
        found.notes += found.run(check_rl_data, view, reward, tokenizer) or []
    _rl_machine(found, view, facts)
    found.run(ray_cluster.check_shared_paths, view, f"{MODEL}.path")
    found.run(ray_cluster.check_auth_mode)
    found.run(ray_cluster.check_ray, view.ray_kwargs.ray_init)
    found.run(ray_cluster.check_cluster_for_nodes, view.trainer.nnodes, view.ray_kwargs.ray_init)
    return found.problems, found.notes


def sft_problems(cfg: DictConfig, world_size: int | None = None) -> tuple[list[KlearError], list[str]]:
    """All problems of an SFT configuration, and the notes for the user."""
    found = _Findings()
    if (resolved := found.run(_resolved, cfg)) is None:
        return found.problems, found.notes
    cfg = resolved
    found.run(parse_config, KlearConfig, _plain(cfg, "klear"), "klear")
    if (view := found.run(view_of, SFTView, cfg)) is None:
        return found.problems, found.notes
    ranks = world_size or view.trainer.ranks
    found.run(batches.check_sft_batches, view, ranks)
    found.run(check_attention, view.model, "model", view.trainer.device)
    facts = found.run(check_model, view.model.path, "model.path")
    if facts is not None:
        found.run(check_sft_heads, view, facts)
        found.run(_tokenizer, view, "model")
    found.run(ray_cluster.check_shared_paths, view, "model.path")
    found.run(check_sft_data, view)
    _accelerators(found, view)
    parameters = facts.parameters if facts else 0
    if view.trainer.device == "cpu":
        needed = machine.sft_memory_bytes(ranks, parameters)
        found.run(machine.check_memory, needed, machine.available_memory_bytes())
    _checkpoints(found, view.trainer, parameters, "max_ckpt_to_keep")
    if port := os.environ.get("MASTER_PORT"):
        found.run(ray_cluster.check_port_free, port, "MASTER_PORT")
    return found.problems, found.notes


def _accelerators(found: _Findings, view: RLView | SFTView) -> None:
    trainer = view.trainer
    found.run(machine.check_accelerators, trainer.device, trainer.n_gpus_per_node, trainer.nnodes)


def _rl_machine(found: _Findings, view: RLView, facts: ModelFacts | None) -> None:
    _accelerators(found, view)
    parameters = facts.parameters if facts else 0
    if view.trainer.device == "cpu":
        per_node, bucket = view.trainer.n_gpus_per_node, view.rollout.checkpoint_engine.update_weights_bucket_megabytes
        needed = machine.rl_memory_bytes(per_node, parameters, reference_model=view.reference is not None)
        found.run(machine.check_memory, needed, machine.available_memory_bytes())
        found.run(machine.check_shared_memory, bucket, per_node)
        if facts is not None:
            found.run(machine.check_bucket, bucket, facts)
    _checkpoints(found, view.trainer, parameters, "max_actor_ckpt_to_keep")


def _checkpoints(found: _Findings, trainer: TrainerNode, parameters: int, keep_key: str) -> None:
    if trainer.default_local_dir is None:
        return
    keep: int | None = getattr(trainer, keep_key)
    folder = Path(trainer.default_local_dir).expanduser().absolute()
    saved = len(checkpoints.saved_steps(folder))
    # One more than are kept, for an old one goes only when the new one is there. An unlimited number cannot be
    # foreseen; two is the least a resumable run has at one time.
    number = max(1, (keep + 1 if keep else 2) - saved)
    needed = 4 * parameters * machine.CHECKPOINT_COPIES * number
    half_written = checkpoints.incomplete_bytes(folder)
    key, keep_key = "trainer.default_local_dir", f"trainer.{keep_key}"
    found.run(machine.check_disk, trainer.default_local_dir, needed, key, keep_key, half_written)


def _tokenizer(view: RLView | SFTView, key: str) -> Tokenizer:
    model = view.model
    return load_tokenizer(
        str(model.tokenizer_path or model.path),
        f"{key}.tokenizer_path" if model.tokenizer_path else f"{key}.path",
        trust_remote_code=view.data.trust_remote_code or model.trust_remote_code,
        chat_template=model.custom_chat_template,
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


def check_name(key: str, value: object, known: Iterable[str]) -> None:
    """Raises ConfigError, with the nearest known name, when `value` is not registered."""
    names = [str(name) for name in known]
    if str(value) not in names:
        raise ConfigError(f"{key}={value} is not registered", did_you_mean(str(value), sorted(names)))


STOCK = {
    "actor_rollout_ref.actor.policy_loss.loss_mode": {"gppo", "vanilla", "cispo"},
    "algorithm.adv_estimator": {"grpo", "gae"},
    TRAINER_MODE: {"klear_sync", "sync"},
    "reward.reward_manager.name": {"klear", "naive"},
}
"""Names of verl 0.9.1 and ours that our recipes use: known without importing verl, which costs seconds and 0.5 GiB."""


def check_registered_names(view: RLView) -> None:
    """Asks verl's registries for those names of an RL configuration that are not in STOCK: verl looks a name up only
    when it is first used.

    Raises:
        ConfigError: names the option and the nearest registered name.
    """
    chosen = {
        "actor_rollout_ref.actor.policy_loss.loss_mode": view.actor.policy_loss.loss_mode,
        "algorithm.adv_estimator": view.algorithm.adv_estimator,
    }
    if view.trainer.use_v1:
        chosen[TRAINER_MODE] = view.trainer.v1.trainer_mode
    if view.reward.reward_manager.source == "register":
        chosen["reward.reward_manager.name"] = view.reward.reward_manager.name
    unusual = {key: name for key, name in chosen.items() if name not in STOCK[key]}
    if not unusual:
        return
    registries = _registries()
    for key, name in unusual.items():
        check_name(key, name, registries[key])


def _registries() -> dict[str, list[str]]:
    """The registered names, by the option that chooses among them. Imports verl, and with it every plugin."""
    from verl.experimental.reward_loop.reward_manager import registry
    from verl.trainer.ppo import core_algos
    from verl.trainer.ppo.v1 import trainer_base

    return {
        "actor_rollout_ref.actor.policy_loss.loss_mode": list(core_algos.POLICY_LOSS_REGISTRY),
        "algorithm.adv_estimator": [getattr(name, "value", name) for name in core_algos.ADV_ESTIMATOR_REGISTRY],
        TRAINER_MODE: list(trainer_base.TRAINER_REGISTRY),
        "reward.reward_manager.name": list(registry.REWARD_MANAGER),
    }
