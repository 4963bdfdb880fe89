# SPDX-License-Identifier: Apache-2.0
"""Faults that the tests must notice, each planted in `klear_verl.trainer.loss` for one case. Most are what the
authors' released code, or verl, does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from verl.utils.tensordict_utils import assign_non_tensor

from klear_verl.trainer import loss
from tests.trainer.gradients.gradient_cases import ROWS


@contextmanager
def planted(name: str) -> Iterator[None]:
    """With the fault of that name; with none for ""."""
    if not name:
        yield
        return
    attribute, make = MUTANTS[name]
    with patch.object(loss, attribute, make(getattr(loss, attribute))):
        yield


def _lm_per_micro_batch(stock: Callable[..., Any]) -> Callable[..., Any]:
    """The language-model loss divided by the micro-batch's own positive tokens, as the released code does."""

    def mutant(log_prob: Any, mask: Any, positive: Any, positive_tokens: int, dp_size: int) -> Any:
        own = int((mask * positive.unsqueeze(-1)).sum())
        return stock(log_prob, mask, positive, own, dp_size)

    return mutant


def _lm_without_ranks(stock: Callable[..., Any]) -> Callable[..., Any]:
    """The language-model loss that forgets that gradients are averaged over ranks."""
    return lambda log_prob, mask, positive, positive_tokens, dp_size: stock(log_prob, mask, positive, positive_tokens)


def _lm_unmasked(stock: Callable[..., Any]) -> Callable[..., Any]:
    """The language-model loss over masked tokens too."""
    return lambda log_prob, mask, *rest: stock(log_prob, mask * 0 + 1, *rest)


def _policy_per_micro_batch(stock: Callable[..., Any]) -> Callable[..., Any]:
    """The policy loss as the mean over micro-batches of their own token means, as the released code has it."""

    def mutant(config: Any, log_prob: Any, batch: Any) -> Any:
        dp_size = config.global_batch_info["dp_size"]
        micro_batches = ROWS // dp_size // len(batch)
        own = int(batch["response_mask"].sum()) * micro_batches * dp_size
        with patch.dict(config.global_batch_info, batch_num_tokens=max(own, 1)):
            return stock(config, log_prob, batch)

    return mutant


def _padding_counts_as_responses(stock: Callable[..., Any]) -> Callable[..., Any]:
    """Sequence means divided by the rows of the mini-batch, padding included, as verl does."""
    return lambda data, field: ROWS if field == "klear_live_responses" else stock(data, field)


def _metrics_per_micro_batch(stock: Callable[..., Any]) -> Callable[..., Any]:
    """Diagnostics as sums of the micro-batches' own means."""

    def mutant(config: Any, policy: Any, log_prob: Any, batch: Any, data: Any, samples_dir: str) -> Any:
        data = assign_non_tensor(data.copy(), batch_num_tokens=int(batch["response_mask"].sum()))
        return stock(config, policy, log_prob, batch, data, samples_dir)

    return mutant


MUTANTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "lm_per_micro_batch": ("positive_lm_loss", _lm_per_micro_batch),
    "lm_without_ranks": ("positive_lm_loss", _lm_without_ranks),
    "lm_unmasked": ("positive_lm_loss", _lm_unmasked),
    "policy_per_micro_batch": ("_policy_loss", _policy_per_micro_batch),
    "padding_counts_as_responses": ("_mini_batch_constant", _padding_counts_as_responses),
    "metrics_per_micro_batch": ("_diagnostics", _metrics_per_micro_batch),
}
