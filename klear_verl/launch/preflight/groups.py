# SPDX-License-Identifier: Apache-2.0
"""What `klear.groups` and `klear.overlong` ask for, against the batch and the lengths of the run. Their own schema
(trainer/config.py) knows neither."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError
from klear_verl.launch.preflight.batches import positive
from klear_verl.trainer.compatibility import TRAINER_MODE
from klear_verl.trainer.config import KlearConfig

GENERATE = "klear.groups.generate"


def unused(cfg: DictConfig, klear: KlearConfig) -> list[str]:
    """A note where `klear.groups` or `klear.overlong` asks for something that the chosen trainer never looks at."""
    mode = OmegaConf.select(cfg, TRAINER_MODE)
    default = KlearConfig()
    asked = [f"klear.{key}" for key in ("groups", "overlong") if getattr(klear, key) != getattr(default, key)]
    if mode == "klear_sync" or not asked:
        return []
    return [f"{TRAINER_MODE}={mode} does not look at {' and '.join(asked)}; klear_sync does"]


def check_groups(cfg: DictConfig, klear: KlearConfig) -> None:
    """The prompts generated must be able to fill the batch, and a penalty must leave some length free of it.

    Raises:
        ConfigError: names both options with their values.
    """
    if OmegaConf.select(cfg, TRAINER_MODE) != "klear_sync":
        return
    batch, generate = positive(cfg, "data.train_batch_size"), klear.groups.generate
    if klear.groups.mode == "drop" and generate is not None and generate < batch:
        raise ConfigError(
            f"{GENERATE}={generate} prompts a step can never fill data.train_batch_size={batch}, and "
            "klear.groups.mode=drop generates no more",
            f"set {GENERATE}={2 * batch} (the paper's ratio) or null (as many as the batch), or lower the batch size",
        )
    most = klear.groups.max_generate
    if klear.groups.mode == "refill" and most is not None and most < batch:
        raise ConfigError(
            f"klear.groups.max_generate={most} prompts a step can never fill data.train_batch_size={batch}",
            f"raise it to {batch} or more; null means {10 * batch}",
        )
    limit, buffer = positive(cfg, "data.max_response_length"), klear.overlong.buffer_tokens
    if klear.overlong.mode == "penalty" and buffer >= limit:
        raise ConfigError(
            f"klear.overlong.buffer_tokens={buffer} is not less than data.max_response_length={limit}: every response "
            "would be punished for its length",
            f"lower it; DAPO has 4096 of 20480 tokens, here that would be {max(1, limit // 5)}",
        )
