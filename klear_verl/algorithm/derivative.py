# SPDX-License-Identifier: Apache-2.0
"""Evaluating a policy loss once, for its value, for its gradient and for diagnostics that look at the gradient."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

Extra = TypeVar("Extra")


class WithDerivative(torch.autograd.Function):
    """Gives `value` the derivative `dvalue_dlogp` with respect to `log_prob`, and keeps nothing else for the backward
    pass. `value` has a number per token or is their sum; `dvalue_dlogp` always has a number per token."""

    @staticmethod
    def forward(ctx: Any, log_prob: torch.Tensor, value: torch.Tensor, dvalue_dlogp: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(dvalue_dlogp)
        ctx.dtype = log_prob.dtype
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (dvalue_dlogp,) = ctx.saved_tensors
        return (grad * dvalue_dlogp).to(ctx.dtype), None, None


def differentiate_once(
    loss_of: Callable[[torch.Tensor], tuple[torch.Tensor, Extra]], log_prob: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, Extra]:
    """Evaluates a loss and its derivative together. Diagnostics can then look at the derivative without a second
    evaluation, and the backward pass only multiplies by it.

    Args:
        loss_of: from log-probabilities to (scalar loss, anything else).
        log_prob: log π_θ, (batch_size, response_length).

    Returns:
        The loss, whose gradient flows to `log_prob`; ∂loss/∂log π of every token, same shape as `log_prob`; and the
        second result of `loss_of`.
    """
    leaf = log_prob.detach().requires_grad_()
    with torch.enable_grad():
        loss, extra = loss_of(leaf)
        (dloss_dlogp,) = torch.autograd.grad(loss, leaf)
    # A clone, since verl subtracts its entropy bonus in place, which torch forbids on what a custom function returns.
    return WithDerivative.apply(log_prob, loss.detach(), dloss_dlogp).clone(), dloss_dlogp, extra
