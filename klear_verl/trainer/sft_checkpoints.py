# SPDX-License-Identifier: Apache-2.0
"""verl's SFT trainer with checkpoints that are complete or absent (`checkpoints`) and know their data
(`data_identity`), and without the loss of an epoch that verl has where it goes on from a checkpoint of an epoch's
end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from verl.trainer.sft_trainer import SFTTrainer
from verl.utils.checkpoint import CheckpointHandler

from klear_verl.data.identity import DataIdentity, check_identity, data_identity, save_identity
from klear_verl.trainer import checkpoints


class CompleteCheckpoints(CheckpointHandler):
    """See the module's docstring. Every rank calls every method."""

    default_local_dir: str
    max_ckpt_to_keep: int | None
    identity: DataIdentity
    """Of the training data; on the first rank alone, which reads and writes it."""

    def save_checkpoint(self, step: int) -> None:
        """As verl's, into `.incomplete/`; then the first rank commits."""
        folder, keep = Path(self.default_local_dir).absolute(), self.max_ckpt_to_keep
        self.default_local_dir, self.max_ckpt_to_keep = str(folder / checkpoints.INCOMPLETE), None
        try:
            super().save_checkpoint(step)  # ends with a barrier
        finally:
            self.default_local_dir, self.max_ckpt_to_keep = str(folder), keep
        if self.rank == 0:
            name = f"global_step_{step}"
            if self.engine.engine_config.strategy in ("fsdp", "fsdp2"):
                contents = self.engine.checkpoint_config.save_contents
                ranks = torch.distributed.get_world_size()
                checkpoints.check_complete(folder / checkpoints.INCOMPLETE / name, ranks, contents)
            save_identity(folder / checkpoints.INCOMPLETE / name, self.identity)
            checkpoints.commit(folder, name, keep)
        torch.distributed.barrier()

    def load_checkpoint(self) -> int:
        """As verl's; returns the step to go on from."""
        if self.rank == 0:
            self.identity = data_identity(self.train_dataloader.dataset)
            checkpoints.make_ready(Path(self.default_local_dir).absolute())
        torch.distributed.barrier()
        step: int = super().load_checkpoint()
        return step

    def _load_dataloader_state(self, checkpoint_path: str) -> None:
        """Over the checkpoint's own data alone, and not at an epoch's end: verl would begin the next epoch with a
        loader that has given out all of it, and so skip it (verl/trainer/sft_trainer.py, 0.9.1)."""
        if self.rank == 0:
            check_identity(Path(checkpoint_path), self.identity, "model.path")
        if self.resume_global_step % len(self.train_dataloader):
            super()._load_dataloader_state(checkpoint_path)


class KlearSFTTrainer(SFTTrainer):
    """verl's, with the checkpoints of this module."""

    ckpt_handler: Any

    def _build_dataloader(self) -> None:
        super()._build_dataloader()
        # An iterator draws a seed from the generator that the model's dropout uses, unless it has its own; a run that
        # goes on in the middle of an epoch makes one iterator more than one that was not interrupted.
        self.train_dataloader.generator = torch.Generator()

    def _build_ckpt_handler(self) -> None:
        super()._build_ckpt_handler()
        theirs: Any = self.ckpt_handler
        self.ckpt_handler = CompleteCheckpoints(
            theirs.engine,
            theirs.train_dataloader,
            default_local_dir=theirs.default_local_dir,
            max_ckpt_to_keep=theirs.max_ckpt_to_keep,
            default_hdfs_dir=theirs.default_hdfs_dir,
            resume_mode=theirs.resume_mode,
            resume_from_path=theirs.resume_from_path,
            lora_train_meta=theirs.lora_train_meta,
        )
