# SPDX-License-Identifier: Apache-2.0
"""Laying the surviving groups out as mini-batches of equal size that verl's workers cut as we mean them to.

verl gives each data-parallel rank a contiguous part of the batch, and the rank cuts its part into consecutive
mini-batches. So row order decides everything: the layout is a list of rows per (rank, mini-batch). Empty places are
filled with verl's no-op samples, which have no live token.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from klear_verl.errors import DataError

Balance = Callable[[Sequence[int], int], list[list[int]]]
"""(work of each row, number of parts) → indices per part, all parts of equal size."""


@dataclass(frozen=True)
class MiniBatches:
    """The groups of each mini-batch, by index, and the number of rows that each mini-batch has with its padding."""

    groups: list[list[int]]
    rows: int

    @property
    def total_rows(self) -> int:
        """Rows of the whole batch, padding included."""
        return self.rows * len(self.groups)

    def fill(self, keys_of_group: Sequence[Sequence[str]], padding: Sequence[str]) -> list[list[str]]:
        """The row keys of each mini-batch: those of its groups, then as many of `padding` as it has places left."""
        filled, spare = [], iter(padding)
        for groups in self.groups:
            keys = [key for group in groups for key in keys_of_group[group]]
            filled.append(keys + [next(spare) for _ in range(self.rows - len(keys))])
        return filled


def split_groups(rows_of_group: Sequence[int], groups_per_mini_batch: int, rows_per_mini_batch: int) -> MiniBatches:
    """As few mini-batches as hold all groups, filled as evenly as possible, groups whole and in order: 9 groups at 8 a
    mini-batch become 4 + 5, not 8 + 1, so that no update rests on a remnant.

    Args:
        rows_of_group: number of rows of each group, at least one group.
        groups_per_mini_batch: `ppo_mini_batch_size`, in prompts.
        rows_per_mini_batch: `ppo_mini_batch_size * rollout.n`: what verl's workers cut.

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
            return MiniBatches(parts, rows_per_mini_batch)
        count += 1


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
