# SPDX-License-Identifier: Apache-2.0
"""Reads the data of a run before the start: every row, its reference and its prompt's length. What a row must hold is
said in `klear_verl.data`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from klear_verl.data.parallel import map_in_order
from klear_verl.data.rows import SUFFIXES, Row, check_file, count_rows, good_row, read_rows
from klear_verl.data.schemas import TrainingRow, TruthCheck, sft_row, training_row
from klear_verl.errors import ConfigError, DataError
from klear_verl.launch.preflight.batches import check_dataset_covers_a_batch, check_epochs_cover_the_steps
from klear_verl.launch.preflight.groups import GENERATE, TRAINER_MODE
from klear_verl.launch.preflight.lengths import LengthCheck, Tokenizer
from klear_verl.reward.config import RewardConfig
from klear_verl.reward.references import ReferenceCheck
from klear_verl.utils.progress import ProgressLine

SFT_SUFFIXES = (".parquet",)
"""verl 0.9.1's SFT data set reads nothing else (MultiTurnSFTDataset)."""

SHOWN_FROM_ROWS = 2_000
"""Fewer rows than this are checked before a progress line could be read."""


def listed_files(cfg: DictConfig, key: str) -> list[str]:
    """The files an option names: one path or a list of paths; [] when it is null."""
    value = OmegaConf.select(cfg, key)
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list | ListConfig) else [str(value)]


def is_remote(path: str) -> bool:
    """True for a path that verl fetches itself (hdfs://…): nothing can be checked before the start."""
    return "://" in path


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
        EnvironmentProblem: no grader process that reads math references can be started.
    """
    notes: list[str] = []
    with nullcontext() if reward is None else ReferenceCheck(reward.with_jobs(_processors())) as references:
        for key in ("data.train_files", "data.val_files"):
            files = _checked_files(cfg, key, SUFFIXES, required=True)
            if OmegaConf.select(cfg, "data.custom_cls.path") or not files:
                continue  # a data set class of the user's reads its own format; remote files are fetched by verl
            lengths = _lengths(cfg, tokenizer)
            usable = 0
            for row in _training_rows(cfg, key, files, references.check if references else None):
                usable += 1
                if lengths:
                    lengths.add(row.prompt, row.where)
            if lengths:
                filtered = bool(OmegaConf.select(cfg, "data.filter_overlong_prompts"))
                note = lengths.raise_if_cut(key, filtered=filtered, truncation=str(cfg.data.truncation))
                notes += [note] if note else []
                usable = lengths.within if filtered else usable
            if key == "data.train_files":
                _check_one_batch(cfg, usable)
    return notes


def check_sft_data(cfg: DictConfig) -> None:
    """Checks `data.train_files` and, where given, `data.val_files` of an SFT run; raises as check_rl_data."""
    messages_key = str(OmegaConf.select(cfg, "data.messages_key", default="messages"))
    for key in ("data.train_files", "data.val_files"):
        files = _checked_files(cfg, key, SFT_SUFFIXES, required=key == "data.train_files")
        if OmegaConf.select(cfg, "data.custom_cls.path") or not files:
            continue
        rows = 0
        for row in _counted(key, files, [messages_key], []):
            sft_row(good_row(row), messages_key=messages_key)
            rows += 1
        if key == "data.train_files":
            _check_one_batch(cfg, rows)


def _processors() -> int:
    """How many rows are checked at once: nothing else runs yet."""
    return len(os.sched_getaffinity(0))


def _training_rows(cfg: DictConfig, key: str, files: list[Path], check: TruthCheck | None) -> Iterator[TrainingRow]:
    prompt_key = str(OmegaConf.select(cfg, "data.prompt_key", default="prompt"))
    source_key = str(OmegaConf.select(cfg, "data.reward_fn_key", default="data_source"))
    typed = partial(training_row, check=check, prompt_key=prompt_key, source_key=source_key)
    rows = _counted(key, files, [prompt_key, source_key, "reward_model"], ["extra_info"])
    return map_in_order(lambda row: typed(good_row(row)), rows, _processors())


def _counted(key: str, files: list[Path], columns: list[str], optional: list[str]) -> Iterator[Row | DataError]:
    """The rows of several files, on a progress line if there are many."""
    total = sum(count_rows(file) for file in files)
    with ProgressLine(f"checking {key}", total, unit="row", enabled=total >= SHOWN_FROM_ROWS) as line:
        for file in files:
            for row in read_rows(file, columns, optional):
                yield row
                line.advance()


def _lengths(cfg: DictConfig, tokenizer: Tokenizer | None) -> LengthCheck | None:
    if tokenizer is None:
        return None
    kwargs = dict(OmegaConf.select(cfg, "data.apply_chat_template_kwargs") or {})
    return LengthCheck(tokenizer, int(OmegaConf.select(cfg, "data.max_prompt_length")), kwargs)


def _check_one_batch(cfg: DictConfig, rows: int) -> None:
    cap = OmegaConf.select(cfg, "data.train_max_samples", default=-1)
    usable = min(rows, cap) if cap > 0 else rows
    generate = OmegaConf.select(cfg, GENERATE) if OmegaConf.select(cfg, TRAINER_MODE) == "klear_sync" else None
    batch_key = GENERATE if generate else "data.train_batch_size"
    check_dataset_covers_a_batch(usable, int(OmegaConf.select(cfg, batch_key)), "data.train_files", batch_key)
    if OmegaConf.select(cfg, "klear.groups.mode") == "refill":
        batch_key = "data.train_batch_size"  # by which verl counts the steps of an epoch
    check_epochs_cover_the_steps(cfg, usable, batch_key)


def _checked_files(cfg: DictConfig, key: str, suffixes: tuple[str, ...], *, required: bool) -> list[Path]:
    named = listed_files(cfg, key)
    if required and not named:
        raise ConfigError(f"{key} is empty", f"set {key}=<file{suffixes[0]}>")
    return [check_file(path, key, suffixes) for path in named if not is_remote(path)]
