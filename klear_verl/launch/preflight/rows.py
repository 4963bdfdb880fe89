# SPDX-License-Identifier: Apache-2.0
"""What one training row must hold. Files are data_files.py's subject, prompt lengths are lengths.py's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from klear_verl.errors import DataError
from klear_verl.reward.config import RewardConfig
from klear_verl.reward.references import code_reference, math_reference

ROLES = ("system", "user", "assistant", "tool")


def check_messages(value: Any, where: str, column: str) -> None:
    """A conversation is a non-empty list of {"role": str, "content": str | list}.

    Raises:
        DataError: names the row, the column and the message.
    """
    remedy = f'write {column} as [{{"role": "user", "content": "…"}}]'
    if not isinstance(value, list):
        raise DataError(f"{where}: {column} is {type(value).__name__}, not a list of messages", remedy)
    if not value:
        raise DataError(f"{where}: {column} is an empty list", remedy)
    for number, message in enumerate(value):
        if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
            raise DataError(f"{where}: {column}[{number}] is not an object with role and content", remedy)
        if message["role"] not in ROLES:
            raise DataError(
                f"{where}: {column}[{number}].role is {message['role']!r}, none of {', '.join(ROLES)}", remedy
            )
        content = message["content"]
        if not isinstance(content, str | list):
            raise DataError(f"{where}: {column}[{number}].content is {type(content).__name__}, not text", remedy)


def check_rl_row(
    row: Mapping[str, Any], where: str, *, prompt_key: str, source_key: str, reward: RewardConfig | None
) -> None:
    """Prompt, data_source and ground truth of one RL row.

    Args:
        row: the row as read.
        where: file and row, for the message.
        prompt_key: `data.prompt_key`.
        source_key: `data.reward_fn_key`.
        reward: our reward manager's configuration; None when another manager scores, whose ground truths are not
            ours to judge.

    Raises:
        DataError: names the row and the field.
    """
    check_messages(row[prompt_key], where, prompt_key)
    source = row[source_key]
    if not isinstance(source, str) or not source:
        raise DataError(
            f"{where}: {source_key} is {source!r}, not a name", "name the source that decides how the row is scored"
        )
    model = row["reward_model"]
    if not isinstance(model, Mapping):
        raise DataError(
            f"{where}: reward_model is {type(model).__name__}", 'write it as {"style": "rule", "ground_truth": …}'
        )
    truth = model.get("ground_truth")
    if truth is None:
        raise DataError(
            f"{where}: reward_model has no ground_truth",
            "every row needs the reference that its answer is scored against",
        )
    if reward is not None:
        _check_ground_truth(truth, row, where, source, reward)


def check_sft_row(row: Mapping[str, Any], where: str, *, messages_key: str) -> None:
    """A conversation with at least one assistant message to learn from.

    Raises:
        DataError: names the row and the message.
    """
    messages = row[messages_key]
    check_messages(messages, where, messages_key)
    if not any(message["role"] == "assistant" and message["content"] for message in messages):
        raise DataError(
            f"{where}: {messages_key} has no assistant message, so nothing to learn from",
            "add the answer, or drop the row",
        )


def _check_ground_truth(truth: Any, row: Mapping[str, Any], where: str, source: str, reward: RewardConfig) -> None:
    try:
        task = reward.task_of(source)
    except DataError as error:
        raise DataError(f"{where}: {error.what}", error.remedy) from error
    if task == "math":
        math_reference(truth, where)
    else:
        extra = row.get("extra_info")
        code_reference(truth, extra if isinstance(extra, Mapping) else None, where)
