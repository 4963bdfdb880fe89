# SPDX-License-Identifier: Apache-2.0
"""Reads the data of a run once, before the start: every row's shape, its reference and its prompt's length, within a
time budget."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from klear_verl.errors import ConfigError
from klear_verl.launch.preflight.batches import check_dataset_covers_a_batch, check_epochs_cover_the_steps
from klear_verl.launch.preflight.data_files import (
    RL_SUFFIXES,
    SFT_SUFFIXES,
    Row,
    check_file,
    count_rows,
    is_remote,
    listed_files,
    read_rows,
)
from klear_verl.launch.preflight.groups import GENERATE, TRAINER_MODE
from klear_verl.launch.preflight.lengths import LengthCheck, Tokenizer
from klear_verl.launch.preflight.rows import check_rl_row, check_sft_row
from klear_verl.reward.config import RewardConfig

BUDGET_S = 30.0
"""Seconds of row checking per option. A very large data set is checked as far as that goes, and a note says how far."""


def check_rl_data(cfg: DictConfig, reward: RewardConfig | None, tokenizer: Tokenizer | None) -> list[str]:
    """Checks `data.train_files` and `data.val_files` of an RL run.

    Args:
        cfg: the composed configuration.
        reward: our reward manager's configuration, None when another manager is chosen.
        tokenizer: measures the prompts; None, where it could not be loaded, leaves lengths unchecked.

    Returns:
        Notes for the user; empty when there is nothing to say.

    Raises:
        DataError, ConfigError: name the file, the row and the remedy.
    """
    notes: list[str] = []
    custom = bool(OmegaConf.select(cfg, "data.custom_cls.path"))
    prompt_key = str(OmegaConf.select(cfg, "data.prompt_key", default="prompt"))
    source_key = str(OmegaConf.select(cfg, "data.reward_fn_key", default="data_source"))
    for key in ("data.train_files", "data.val_files"):
        files = _checked(cfg, key, RL_SUFFIXES, required=True)
        if custom or not files:
            continue  # a data set class of the user's reads its own format; remote files are fetched by verl
        walk = _Walk(files, [prompt_key, source_key, "reward_model"], ["extra_info"])
        limit = int(OmegaConf.select(cfg, "data.max_prompt_length"))
        kwargs = dict(OmegaConf.select(cfg, "data.apply_chat_template_kwargs") or {})
        lengths = LengthCheck(tokenizer, limit, kwargs) if tokenizer else None
        for where, row in walk:
            check_rl_row(row, where, prompt_key=prompt_key, source_key=source_key, reward=reward)
            if lengths:
                lengths.add(row[prompt_key], where)
        usable = walk.rows
        if lengths:
            filtered = bool(OmegaConf.select(cfg, "data.filter_overlong_prompts"))
            note = lengths.raise_if_cut(key, filtered=filtered, truncation=str(cfg.data.truncation))
            notes += [note] if note else []
            usable = lengths.within if filtered else walk.rows
        notes += walk.notes(key)
        if key == "data.train_files" and walk.complete:
            _check_one_batch(cfg, usable)
    return notes


def check_sft_data(cfg: DictConfig) -> list[str]:
    """Checks `data.train_files` and, where given, `data.val_files` of an SFT run. Returns notes; raises as
    check_rl_data."""
    notes: list[str] = []
    messages_key = str(OmegaConf.select(cfg, "data.messages_key", default="messages"))
    for key in ("data.train_files", "data.val_files"):
        files = _checked(cfg, key, SFT_SUFFIXES, required=key == "data.train_files")
        if OmegaConf.select(cfg, "data.custom_cls.path") or not files:
            continue
        walk = _Walk(files, [messages_key])
        for where, row in walk:
            check_sft_row(row, where, messages_key=messages_key)
        notes += walk.notes(key)
        if key == "data.train_files":
            _check_one_batch(cfg, sum(count_rows(file) for file in files))
    return notes


def _check_one_batch(cfg: DictConfig, rows: int) -> None:
    cap = OmegaConf.select(cfg, "data.train_max_samples", default=-1)
    usable = min(rows, cap) if cap > 0 else rows
    generate = OmegaConf.select(cfg, GENERATE) if OmegaConf.select(cfg, TRAINER_MODE) == "klear_sync" else None
    batch_key = GENERATE if generate else "data.train_batch_size"
    check_dataset_covers_a_batch(usable, int(OmegaConf.select(cfg, batch_key)), "data.train_files", batch_key)
    if OmegaConf.select(cfg, "klear.groups.mode") == "refill":
        batch_key = "data.train_batch_size"  # by which verl counts the steps of an epoch
    check_epochs_cover_the_steps(cfg, usable, batch_key)


def _checked(cfg: DictConfig, key: str, suffixes: tuple[str, ...], *, required: bool) -> list[Path]:
    named = listed_files(cfg, key)
    if required and not named:
        raise ConfigError(f"{key} is empty", f"set {key}=<file{suffixes[0]}>")
    return [check_file(path, key, suffixes) for path in named if not is_remote(path)]


class _Walk:
    """The rows of several files, until the time budget is spent."""

    def __init__(self, files: list[Path], columns: list[str], optional: list[str] | None = None):
        self.files = files
        self.columns = columns
        self.optional = optional or []
        self.rows = 0
        self.complete = False

    def __iter__(self) -> Iterator[Row]:
        deadline = time.monotonic() + BUDGET_S
        for file in self.files:
            for row in read_rows(file, self.columns, self.optional):
                if time.monotonic() > deadline:
                    return
                self.rows += 1
                yield row
        self.complete = True

    def notes(self, key: str) -> list[str]:
        """Says how far the check went, if not to the end."""
        if self.complete:
            return []
        return [f"{key}: the first {self.rows} rows were checked ({BUDGET_S:.0f} s); the rest were not"]
