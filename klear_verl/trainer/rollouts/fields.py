# SPDX-License-Identifier: Apache-2.0
"""What the trainer writes into verl's TransferQueue for the rows of a batch, before its workers read them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import transfer_queue as tq
from tensordict import TensorDict
from transfer_queue import KVBatchMeta

from klear_verl.trainer import loss
from klear_verl.trainer.rollouts.responses import Response


def nested(rows: list[torch.Tensor]) -> torch.Tensor:
    """Rows of different lengths, as verl's queue holds them."""
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def put_rewards(batch: KVBatchMeta, responses: Sequence[Response | None]) -> None:
    """Replaces the rewards by those after our penalties, on each row's last token.

    Args:
        batch: the rows.
        responses: the response of each; None for padding, which stays as it is.
    """
    scores = [row.clone() for row in _get(batch, "rm_scores").unbind()]
    for row, response in zip(scores, responses, strict=True):
        if response is not None:
            row.zero_()
            row[-1] = response.reward
    _put(batch, {"rm_scores": nested(scores)})


def put_padding(padding: KVBatchMeta, fields: Sequence[str]) -> None:
    """Gives padding rows 0 in fields that only the others have."""
    zeros = [torch.zeros(mask.shape[0]) for mask in _get(padding, "response_mask").unbind()]
    _put(padding, {field: nested([row.clone() for row in zeros]) for field in fields})


def zero_advantages(batch: KVBatchMeta, rows: set[int]) -> None:
    """Sets the advantages of some rows, by their places in the batch, to exactly 0."""
    kept = [
        torch.zeros_like(advantages) if row in rows else advantages
        for row, advantages in enumerate(_get(batch, "advantages").unbind())
    ]
    _put(batch, {"advantages": nested(kept)})


def put_sample_fields(
    batch: KVBatchMeta,
    responses: Sequence[Response | None],
    mini_batches: Sequence[int],
    metrics: dict[str, float],
    *,
    masks: bool,
) -> KVBatchMeta:
    """`loss.SAMPLE_FIELDS`, from the masks as they are now: rollout correction may have rejected tokens.

    Args:
        batch: the rows.
        responses: the response of each; None for padding.
        mini_batches: the number of each row's mini-batch.
        metrics: gets `klear/positives` and `klear/positive_tokens`.
        masks: whether tokens may have been rejected: verl's workers count the tokens of `loss_mask`, which verl leaves
            as it was (trainer_base.py 0.9.1; upstream it should be written with `response_mask`).

    Returns:
        The batch, with the names of all its fields.
    """
    response_mask = _get(batch, "response_mask")
    tokens = torch.tensor([int(mask.sum()) for mask in response_mask.unbind()])
    positive = torch.tensor([response is not None and response.positive for response in responses])
    mini_batch = torch.tensor(mini_batches)
    count = int(mini_batch.max()) + 1
    positive_tokens = torch.zeros(count, dtype=torch.int64).index_add_(0, mini_batch, tokens * positive)
    live = torch.zeros(count, dtype=torch.int64).index_add_(0, mini_batch, (tokens > 0).long())
    metrics["klear/positives"] = float(positive.sum())
    metrics["klear/positive_tokens"] = float(positive_tokens.sum())
    fields = {
        loss.POSITIVE: positive,
        loss.POSITIVE_TOKENS: positive_tokens[mini_batch],
        loss.LIVE_RESPONSES: live[mini_batch],
    }
    if masks:
        fields["loss_mask"] = response_mask
    return _put(batch, fields)


def _get(batch: KVBatchMeta, field: str) -> torch.Tensor:
    column: torch.Tensor = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=[field])[
        field
    ]
    return column


def _put(batch: KVBatchMeta, fields: dict[str, torch.Tensor]) -> KVBatchMeta:
    return tq.kv_batch_put(
        keys=batch.keys, partition_id=batch.partition_id, fields=TensorDict(fields, batch_size=len(batch))
    )
