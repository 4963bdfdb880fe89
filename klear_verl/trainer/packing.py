# SPDX-License-Identifier: Apache-2.0
"""Packing the groups that train into mini-batches of equal size that verl's workers cut as we mean them to, and writing
into verl's queue what the workers must know of them.

verl gives each data-parallel rank a contiguous part of the batch, and the rank cuts its part into consecutive
mini-batches. So the order of rows decides everything: `split_groups` says which groups make up a mini-batch, `fill`
puts verl's no-op samples, which have no live token, into the places left, and `row_order` gives the order in which verl
cuts them so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import transfer_queue as tq
from tensordict import TensorDict
from transfer_queue import KVBatchMeta

from klear_verl.errors import DataError
from klear_verl.trainer import loss
from klear_verl.trainer.rollouts import Response

Balance = Callable[[Sequence[int], int], list[list[int]]]
"""(work of each row, number of parts) → indices per part, all parts of equal size."""


def split_groups(rows_of_group: Sequence[int], groups_per_mini_batch: int, rows_per_mini_batch: int) -> list[list[int]]:
    """As few mini-batches as hold all groups, filled as evenly as possible, groups whole and in order: 9 groups at 8 a
    mini-batch become 4 + 5, not 8 + 1, so that no update rests on a remnant.

    Args:
        rows_of_group: number of rows of each group, at least one group.
        groups_per_mini_batch: `ppo_mini_batch_size`, in prompts.
        rows_per_mini_batch: `ppo_mini_batch_size * rollout.n`: what verl's workers cut.

    Returns:
        The groups of each mini-batch, by index.

    Raises:
        DataError: one group alone has more rows than a mini-batch.
    """
    if max(rows_of_group) > rows_per_mini_batch:
        raise DataError(
            f"a group of {max(rows_of_group)} rows does not fit a mini-batch of {rows_per_mini_batch}",
            "raise actor_rollout_ref.actor.ppo_mini_batch_size",
        )
    count = math.ceil(len(rows_of_group) / groups_per_mini_batch)
    while True:
        parts = _even_parts(len(rows_of_group), count)
        # Agent loops with several outputs a session have more rows than n a group.
        if all(sum(rows_of_group[index] for index in part) <= rows_per_mini_batch for part in parts):
            return parts
        count += 1


def fill(
    parts: Sequence[Sequence[int]], keys_of_group: Sequence[Sequence[str]], padding: Sequence[str], rows: int
) -> list[list[str]]:
    """The row keys of each mini-batch: those of its groups, then as many of `padding` as it has places left.

    Args:
        parts: as `split_groups` returns them.
        keys_of_group: the row keys of each group.
        padding: the keys of the no-op samples.
        rows: of a mini-batch, padding included.
    """
    filled, spare = [], iter(padding)
    for part in parts:
        keys = [key for group in part for key in keys_of_group[group]]
        filled.append(keys + [next(spare) for _ in range(rows - len(keys))])
    return filled


def row_order(work_of_mini_batch: Sequence[Sequence[int]], ranks: int, balance: Balance) -> list[int]:
    """The order of all rows such that each rank gets an equal share, in number and about in work, of each mini-batch.

    Args:
        work_of_mini_batch: the work of each row of each mini-batch (a multiple of `ranks` rows), padding included; rows
            are numbered through, mini-batch by mini-batch.
        ranks: data-parallel size.
        balance: how a mini-batch is shared out.

    Returns:
        Row numbers: all of rank 0 in the order of the mini-batches, then all of rank 1, …
    """
    per_rank: list[list[int]] = [[] for _ in range(ranks)]
    first = 0
    for work in work_of_mini_batch:
        shares = balance(work, ranks) if ranks > 1 else [list(range(len(work)))]
        for rank, share in enumerate(shares):
            per_rank[rank] += [first + index for index in sorted(share)]
        first += len(work)
    return [row for rows in per_rank for row in rows]


def _even_parts(length: int, count: int) -> list[list[int]]:
    bounds = [length * part // count for part in range(count + 1)]
    return [list(range(start, end)) for start, end in pairwise(bounds)]


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


def put_zeros(batch: KVBatchMeta, fields: Sequence[str]) -> KVBatchMeta:
    """Puts 0 for every response token into fields that these rows do not have yet.

    Returns:
        The batch, with the names of all its fields.
    """
    zeros = [torch.zeros(mask.shape[0]) for mask in _get(batch, "response_mask").unbind()]
    return _put(batch, {field: nested([row.clone() for row in zeros]) for field in fields})


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
