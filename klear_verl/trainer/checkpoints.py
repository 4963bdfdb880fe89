# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are complete or absent, however the run ends.

verl writes a checkpoint in place, and in RL its tracker file with truncation, so that a kill leaves a half-written
folder or an empty tracker; in SFT it removes the old checkpoint before the tracker names the new one. Here verl writes
into `.incomplete/` beside the others; once every rank's files are there the folder is renamed, then the tracker is
replaced, and only then are old checkpoints removed. All of it needs the checkpoint folder on a file system that every
node sees, which is checked by looking for every rank's files.

Folders of any other name than `global_step_N`, such as a copy of a user's, are left alone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from klear_verl.data.identity import save_identity
from klear_verl.errors import EnvironmentProblem

INCOMPLETE = ".incomplete"
TRACKER = "latest_checkpointed_iteration.txt"
CHECKPOINT = re.compile(r"global_step_(0|[1-9][0-9]*)")

logger = logging.getLogger(__name__)


def save(trainer: Any, write: Callable[[], None]) -> None:
    """Has verl write a checkpoint and commits it.

    Args:
        trainer: a verl v1 trainer; its `config`, `global_steps` and `checkpoint_callback` are used, and its
            `data_identity` where it has one.
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
    if trainer.config.actor_rollout_ref.actor.strategy in ("fsdp", "fsdp2"):
        contents = OmegaConf.select(trainer.config, "actor_rollout_ref.actor.checkpoint.save_contents")
        check_complete(folder / INCOMPLETE / name / "actor", int(config.nnodes) * int(config.n_gpus_per_node), contents)
    if (identity := getattr(trainer, "data_identity", None)) is not None:
        save_identity(folder / INCOMPLETE / name, identity)
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
    _point_at(folder, name)
    if keep:
        step = step_of(name)
        assert step is not None  # verl's name of a checkpoint
        # Later ones are of a future that the run was set back from; they neither count nor go.
        for old in [saved for saved in saved_steps(folder) if saved <= step][:-keep]:
            _remove(folder / f"global_step_{old}")
    shutil.rmtree(folder / INCOMPLETE)


def step_of(name: str) -> int | None:
    """The step of a checkpoint's folder; None for any other name, such as a user's `global_step_5_best`."""
    match = CHECKPOINT.fullmatch(name)
    return int(match[1]) if match else None


def saved_steps(folder: Path) -> list[int]:
    """The steps of the complete checkpoints in `folder`, ascending."""
    found = [(step_of(path.name), path) for path in folder.glob("global_step_*")]
    return sorted(step for step, path in found if step is not None and path.is_dir())


def tracked_step(folder: Path) -> int | None:
    """The step that the tracker names; None where there is no such checkpoint."""
    step = _tracked(folder)
    return step if step in saved_steps(folder) else None


def incomplete_bytes(folder: Path) -> int:
    """The size of what a killed attempt left half-written in `folder`, which the next one removes."""
    size = 0
    for parent, _, names in os.walk(folder / INCOMPLETE):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # an attempt that is still ending may be removing it
                size += os.lstat(os.path.join(parent, name)).st_size
    return size


def folder_of(config: DictConfig) -> Path | None:
    """The checkpoint folder of a configuration, absolute; None where it names none."""
    named = OmegaConf.select(config, "trainer.default_local_dir")
    return None if named is None else Path(named).expanduser().absolute()


def clear_incomplete(config: DictConfig) -> None:
    """Removes what a killed attempt left half-written; `config` is a verl trainer's."""
    make_ready(Path(config.trainer.default_local_dir).absolute())


def make_ready(folder: Path) -> None:
    """Removes what a killed attempt left half-written. A tracker that names no checkpoint, from which verl would go on
    with an exception or from nothing, names the newest one again."""
    if (folder / INCOMPLETE).exists():
        shutil.rmtree(folder / INCOMPLETE)
    if tracked_step(folder) is not None:
        return
    if steps := saved_steps(folder):
        logger.warning("%s names no checkpoint; going on from the newest, step %d", folder / TRACKER, steps[-1])
        _point_at(folder, f"global_step_{steps[-1]}")
        (folder / INCOMPLETE).rmdir()
    else:
        (folder / TRACKER).unlink(missing_ok=True)


def _tracked(folder: Path) -> int | None:
    try:
        return int((folder / TRACKER).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _point_at(folder: Path, name: str) -> None:
    """Replaces the tracker."""
    temporary = folder / INCOMPLETE / TRACKER
    temporary.parent.mkdir(exist_ok=True)
    with temporary.open("w", encoding="utf-8") as file:
        file.write(name.rsplit("_", 1)[1])
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / TRACKER)


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


def check_complete(folder: Path, ranks: int, contents: Sequence[str] | None) -> None:
    """Looks for every rank's files of an FSDP checkpoint.

    Args:
        folder: where they should lie.
        ranks: of the whole run.
        contents: verl's `checkpoint.save_contents`; None: all.

    Raises:
        EnvironmentProblem: files are missing.
    """
    files = {"model": "model", "optimizer": "optim", "extra": "extra_state"}
    missing = [
        f"{files[content]}_world_size_{ranks}_rank_{rank}.pt"
        for content in files
        if contents is None or content in contents
        for rank in range(ranks)
        if not (folder / f"{files[content]}_world_size_{ranks}_rank_{rank}.pt").is_file()
    ]
    if missing:
        raise EnvironmentProblem(
            f"the checkpoint in {folder} lacks {len(missing)} files, the first is {missing[0]}",
            "put trainer.default_local_dir on a file system that every node sees",
        )
