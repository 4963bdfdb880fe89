# SPDX-License-Identifier: Apache-2.0
"""Reads the data of a run before the start: every row, its reference and its prompt's length. What a row must hold is
said in `klear_verl.data`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from klear_verl.data.parallel import map_in_order
from klear_verl.data.rows import SUFFIXES, Row, check_file, count_rows, good_row, is_remote, read_rows
from klear_verl.data.schemas import TrainingRow, TruthCheck, sft_row, training_row
from klear_verl.errors import ConfigError, DataError
from klear_verl.launch.preflight.batches import GENERATE, check_dataset_covers_a_batch, check_epochs_cover_the_steps
from klear_verl.launch.preflight.lengths import LengthCheck, Tokenizer
from klear_verl.launch.preflight.view import RLView, SFTView
from klear_verl.reward.config import RewardConfig
from klear_verl.reward.references import ReferenceCheck
from klear_verl.utils.progress import ProgressLine

SFT_SUFFIXES = (".parquet",)
"""verl 0.9.1's SFT data set reads nothing else (MultiTurnSFTDataset)."""

SHOWN_FROM_ROWS = 2_000
"""Fewer rows than this are checked before a progress line could be read."""


def check_rl_data(view: RLView, reward: RewardConfig | None, tokenizer: Tokenizer | None) -> list[str]:
    """Checks `data.train_files` and `data.val_files` of an RL run.

    Args:
        view: the run.
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
        for key, named in _named_files(view):
            files = _checked_files(named, key, SUFFIXES, required=True)
            if view.data.custom_cls.path or not files:
                continue  # a data set class of the user's reads its own format; remote files are fetched by verl
            lengths = _lengths(view, tokenizer)
            usable = 0
            for row in _training_rows(view, key, files, references.check if references else None):
                usable += 1
                if lengths:
                    lengths.add(row.prompt, row.where)
            if lengths:
                filtered = view.data.filter_overlong_prompts
                note = lengths.raise_if_cut(key, filtered=filtered, truncation=view.data.truncation)
                notes += [note] if note else []
                usable = lengths.within if filtered else usable
            if key == "data.train_files":
                _check_rl_batch(view, usable)
    return notes


def check_sft_data(view: SFTView) -> None:
    """Checks `data.train_files` and, where given, `data.val_files` of an SFT run; raises as check_rl_data."""
    messages_key = view.data.messages_key
    for key, named in _named_files(view):
        files = _checked_files(named, key, SFT_SUFFIXES, required=key == "data.train_files")
        if view.data.custom_cls.path or not files:
            continue
        rows = 0
        for row in _counted(key, files, [messages_key], []):
            sft_row(good_row(row), messages_key=messages_key)
            rows += 1
        if key == "data.train_files":
            batch = view.data.train_batch_size
            usable = _capped(rows, view.data.train_max_samples)
            check_dataset_covers_a_batch(usable, batch, "data.train_files")
            check_epochs_cover_the_steps(view.trainer, usable, batch, "data.train_batch_size")


def _named_files(view: RLView | SFTView) -> list[tuple[str, tuple[str, ...]]]:
    return [("data.train_files", view.data.train_files), ("data.val_files", view.data.val_files)]


def _processors() -> int:
    """How many rows are checked at once: nothing else runs yet."""
    return len(os.sched_getaffinity(0))


def _training_rows(view: RLView, key: str, files: list[Path], check: TruthCheck | None) -> Iterator[TrainingRow]:
    prompt_key, source_key = view.data.prompt_key, view.data.reward_fn_key
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


def _lengths(view: RLView, tokenizer: Tokenizer | None) -> LengthCheck | None:
    if tokenizer is None:
        return None
    return LengthCheck(tokenizer, view.data.max_prompt_length, dict(view.data.apply_chat_template_kwargs or {}))


def _check_rl_batch(view: RLView, rows: int) -> None:
    """A step generates `klear.groups.generate` prompts; verl counts the steps of an epoch by them, too, but in mode
    "refill" by its own batch size."""
    usable, groups = _capped(rows, view.data.train_max_samples), view.klear.groups
    step, step_key = view.data.train_batch_size, "data.train_batch_size"
    generate, generate_key = step, step_key
    if view.klear_sync and groups.generate:
        generate, generate_key = groups.generate, GENERATE
    check_dataset_covers_a_batch(usable, generate, "data.train_files", generate_key)
    if groups.mode != "refill":
        step, step_key = generate, generate_key
    check_epochs_cover_the_steps(view.trainer, usable, step, step_key)


def _capped(rows: int, most: int) -> int:
    """`data.train_max_samples` leaves rows out; -1 for none."""
    return min(rows, most) if most > 0 else rows


def _checked_files(named: Sequence[str], key: str, suffixes: tuple[str, ...], *, required: bool) -> list[Path]:
    if required and not named:
        raise ConfigError(f"{key} is empty", f"set {key}=<file{suffixes[0]}>")
    return [check_file(path, key, suffixes) for path in named if not is_remote(path)]
