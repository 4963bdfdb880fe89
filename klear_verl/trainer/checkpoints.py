# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are complete or absent, however the run ends.

verl writes a checkpoint in place, and its tracker file with truncation, so that a kill leaves a half-written folder or
an empty tracker. Here verl writes into `.incomplete/` beside the others; once every rank's files are there the folder
is renamed, then the tracker is replaced, and only then are old checkpoints removed. All of it needs the checkpoint
folder on a file system that every node sees, which is checked by looking for every rank's files.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from klear_verl.errors import EnvironmentProblem

INCOMPLETE = ".incomplete"
TRACKER = "latest_checkpointed_iteration.txt"

logger = logging.getLogger(__name__)


def save(trainer: Any, write: Callable[[], None]) -> None:
    """Has verl write a checkpoint and commits it.

    Args:
        trainer: a verl v1 trainer; its `config`, `global_steps` and `checkpoint_callback` are used.
        write: verl's `_save_checkpoint`.

    Raises:
        EnvironmentProblem: files of a rank are missing afterwards.
    """
    config = trainer.config.trainer
    folder = Path(config.default_local_dir).absolute()
    name = f"global_step_{trainer.global_steps}"
    keep = OmegaConf.select(config, "max_actor_ckpt_to_keep")
    callback = trainer.checkpoint_callback
    with _writing_into(trainer, folder / INCOMPLETE):
        write()
    _check_complete(folder / INCOMPLETE / name / "actor", trainer.config)
    commit(folder, name, keep)
    callback.on_save(
        trainer=trainer, global_step=trainer.global_steps, checkpoint_dir=str(folder / name), async_save=False
    )


def commit(folder: Path, name: str, keep: int | None = None) -> None:
    """Moves `.incomplete/name` to its place, points the tracker at it, and removes all but the newest `keep`."""
    target = folder / name
    if target.exists():  # of an attempt that was killed between the rename and the tracker
        _remove(target)
    (folder / INCOMPLETE / name).replace(target)
    temporary = folder / INCOMPLETE / TRACKER
    with temporary.open("w", encoding="utf-8") as file:
        file.write(name.rsplit("_", 1)[1])
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / TRACKER)
    if keep:
        for old in saved_steps(folder)[:-keep]:
            _remove(folder / f"global_step_{old}")
    clear_incomplete_folder(folder)


def saved_steps(folder: Path) -> list[int]:
    """The steps of the complete checkpoints in `folder`, ascending."""
    return sorted(int(path.name.rsplit("_", 1)[1]) for path in folder.glob("global_step_*") if path.is_dir())


def clear_incomplete(config: DictConfig) -> None:
    """Removes what a killed attempt left half-written."""
    clear_incomplete_folder(Path(config.trainer.default_local_dir).absolute())


def clear_incomplete_folder(folder: Path) -> None:
    """As `clear_incomplete`, by folder."""
    if (folder / INCOMPLETE).exists():
        shutil.rmtree(folder / INCOMPLETE)


def _remove(checkpoint: Path) -> None:
    """Out of sight first, so that a kill in the middle leaves no checkpoint that is half gone."""
    aside = checkpoint.parent / INCOMPLETE / f"removed-{checkpoint.name}"
    aside.parent.mkdir(exist_ok=True)
    checkpoint.replace(aside)
    shutil.rmtree(aside)


@contextmanager
def _writing_into(trainer: Any, folder: Path) -> Iterator[None]:
    """Lets verl write into `folder`, remove nothing (it would look for folders that have been renamed since), and tell
    nobody before the checkpoint is in its place."""
    config, callback = trainer.config.trainer, trainer.checkpoint_callback
    keys = ("default_local_dir", "max_actor_ckpt_to_keep", "max_critic_ckpt_to_keep", "remove_previous_ckpt_in_save")
    before = {key: config.get(key) for key in keys}
    folder.mkdir(parents=True, exist_ok=True)
    with open_dict(config):
        config.update({"default_local_dir": str(folder), **dict.fromkeys(keys[1:])})
        trainer.checkpoint_callback = SimpleNamespace(on_save=lambda **_: None)
        try:
            yield
        finally:
            config.update(before)
            trainer.checkpoint_callback = callback


def _check_complete(actor: Path, config: DictConfig) -> None:
    """Looks for every rank's files of an FSDP checkpoint."""
    if config.actor_rollout_ref.actor.strategy not in ("fsdp", "fsdp2"):
        return
    ranks = int(config.trainer.nnodes) * int(config.trainer.n_gpus_per_node)
    files = {"model": "model", "optimizer": "optim", "extra": "extra_state"}
    wanted = OmegaConf.select(config, "actor_rollout_ref.actor.checkpoint.save_contents") or list(files)
    missing = [
        f"{files[content]}_world_size_{ranks}_rank_{rank}.pt"
        for content in files
        if content in wanted
        for rank in range(ranks)
        if not (actor / f"{files[content]}_world_size_{ranks}_rank_{rank}.pt").is_file()
    ]
    if missing:
        raise EnvironmentProblem(
            f"the checkpoint in {actor} lacks {len(missing)} files, the first is {missing[0]}",
            "put trainer.default_local_dir on a file system that every node sees",
        )
