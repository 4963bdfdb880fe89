# SPDX-License-Identifier: Apache-2.0
"""What a row must hold: the rows that RL and evaluation read, those of SFT, and those that `klear score` reads.

Each function takes a row as it was read and returns it typed, or raises a DataError that begins with the row's place.
Whether a ground truth can be scored is the reward's knowledge, which this room does not have: callers give it as a
`TruthCheck`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from klear_verl.data.rows import Row, json_type, place
from klear_verl.errors import DataError

ROLES = ("system", "user", "assistant", "tool")
SCORE_COLUMNS = ("id", "data_source", "response", "ground_truth")

TruthCheck = Callable[[str, Any, Mapping[str, Any], str], None]
"""Of data_source, ground truth, extra_info and the row's place: raises a DataError, which begins with the place, if
responses to the row cannot be scored."""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A row in verl's format, which RL trains on and evaluation asks. `where` is its place in its file."""

    where: str
    prompt: list[dict[str, Any]]
    data_source: str
    ground_truth: Any
    extra_info: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SftRow:
    """A conversation with an answer to learn from."""

    where: str
    messages: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A response to score; the id is as the file has it, text or an integer."""

    where: str
    size_bytes: int
    id: str | int
    data_source: str
    response: str
    ground_truth: Any
    extra_info: dict[str, Any]


def training_row(
    row: Row, check: TruthCheck | None, *, prompt_key: str = "prompt", source_key: str = "data_source"
) -> TrainingRow:
    """Prompt, data_source, ground truth and extra_info of a row in verl's format.

    Args:
        row: read with the columns `prompt_key`, `source_key` and `reward_model`.
        check: None where another reward manager scores, whose ground truths are not ours to judge.

    Raises:
        DataError: names the row and the field.
    """
    prompt = _messages(row, prompt_key)
    source, truth, extra = scored_fields(row.values, row.where, source_key)
    if check is not None:
        # verl reads JSON through Arrow too, so its objects are padded there, if not here.
        _refuse_padded(truth, row.where)
        check(source, truth, extra, row.where)
    return TrainingRow(row.where, prompt, source, truth, extra)


def scored_fields(
    values: Mapping[str, Any], where: str, source_key: str = "data_source"
) -> tuple[str, Any, dict[str, Any]]:
    """What a row in verl's format is scored by: data_source, ground truth and extra_info.

    Args:
        values: the row, from a file or of a verl batch.
        where: its place, or another name, for the message.

    Raises:
        DataError: names the row and the field.
    """
    source = _name(values.get(source_key), source_key, where)
    model = values.get("reward_model")
    if not isinstance(model, Mapping):
        raise DataError(
            f"{where}: reward_model is {json_type(model)}, not an object",
            'write it as {"style": "rule", "ground_truth": …}',
        )
    return source, _present(model.get("ground_truth"), where), _extra_info(values.get("extra_info"), where)


def sft_row(row: Row, *, messages_key: str = "messages") -> SftRow:
    """A conversation with at least one assistant message that is not blank.

    Raises:
        DataError: names the row and the message.
    """
    messages = _messages(row, messages_key)
    if not any(message["role"] == "assistant" and _has_text(message["content"]) for message in messages):
        raise DataError(
            f"{row.where}: {messages_key} has no assistant message with text, so nothing to learn from",
            "add the answer, or drop the row",
        )
    return SftRow(row.where, messages)


def score_row(row: Row) -> ScoreRow:
    """A row of `klear score`, read with SCORE_COLUMNS. The scorer judges its ground truth.

    Raises:
        DataError: names the row and the field.
    """
    identity = row.values["id"]
    if isinstance(identity, bool) or not isinstance(identity, str | int):
        raise DataError(f"{row.where}: id is {_shown(identity)}, neither text nor an integer", "give each row an id")
    source = _name(row.values["data_source"], "data_source", row.where)
    response = row.values["response"]
    if not isinstance(response, str):
        raise DataError(f"{row.where}: response is {json_type(response)}, not text", "write the model's answer there")
    truth = _present(row.values["ground_truth"], row.where)
    extra = _extra_info(row.values.get("extra_info"), row.where)
    if row.through_arrow:
        _refuse_padded(truth, row.where)
    return ScoreRow(row.where, row.size_bytes, identity, source, response, truth, extra)


def score_rows(rows: Iterable[Row | DataError]) -> Iterator[ScoreRow | DataError]:
    """The rows of `klear score`, whose ids are unique, and in its place a DataError for each that cannot be scored.

    Of the rows that have passed only the ids stay in memory.
    """
    places: dict[str, int] = {}
    for row in rows:
        if isinstance(row, DataError):
            yield row
            continue
        try:
            found = score_row(row)
        except DataError as error:
            yield error
            continue
        earlier = places.setdefault(str(found.id), row.number)
        if earlier != row.number:
            what = f"{row.where}: id '{found.id}' is already that of {place(row.unit, earlier)}"
            yield DataError(what, "ids must be unique")
        else:
            yield found


def _messages(row: Row, column: str) -> list[dict[str, Any]]:
    remedy = f'write {column} as [{{"role": "user", "content": "…"}}]'
    value = row.values[column]
    if not isinstance(value, list):
        raise DataError(f"{row.where}: {column} is {json_type(value)}, not a list of messages", remedy)
    if not value:
        raise DataError(f"{row.where}: {column} is an empty list", remedy)
    for number, message in enumerate(value):
        place = f"{row.where}: {column}[{number}]"
        if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
            raise DataError(f"{place} is not an object with role and content", remedy)
        if message["role"] not in ROLES:
            raise DataError(f"{place}.role is {_shown(message['role'])}, none of {', '.join(ROLES)}", remedy)
        if not isinstance(message["content"], str | list):
            raise DataError(f"{place}.content is {json_type(message['content'])}, not text", remedy)
    return value


def _has_text(content: str | list[Any]) -> bool:
    return bool(content.strip() if isinstance(content, str) else content)


def _name(value: Any, key: str, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise DataError(
            f"{where}: {key} is {_shown(value)}, not a name", "name the source that decides how the row is scored"
        )
    return value


def _extra_info(value: Any, where: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise DataError(f"{where}: extra_info is {json_type(value)}, not an object", "correct the row, or drop it")
    return dict(value or {})


def _present(truth: Any, where: str) -> Any:
    if truth is None:
        raise DataError(f"{where}: no ground_truth", "every row needs the reference that its answer is scored against")
    return truth


def _refuse_padded(truth: Any, where: str) -> None:
    for key in ("inputs", "outputs"):
        if isinstance(truth, dict) and _holds_object(truth.get(key)):
            raise DataError(
                f"{where}: the {key} of the ground truth hold objects, to which Arrow adds the keys of all other rows' "
                "objects, as nulls: not the tests that were written",
                "write the ground truth as JSON text (json.dumps)",
            )


def _holds_object(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(_holds_object(item) for item in value))


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
