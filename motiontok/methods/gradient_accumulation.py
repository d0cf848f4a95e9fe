"""Gradients of a batch, chunk by chunk: less memory, and on a CPU chunks that fit its cache.

The loss is a sum over observations, so its gradients are too. The result is one loss of the
parameters, and nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["loss_in_chunks"]

Part = Callable[[slice], tuple[Tensor, tuple[Tensor, ...]]]
"""From rows of the batch to their part of the loss, and values ``(rows, ...)`` to keep."""


def loss_in_chunks(
    part: Part, parameters: Sequence[nn.Parameter], *, batch: int, size: int
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A batch's loss and kept values, from parts of at most ``size`` observations.

    Args:
        part: computes a part; the loss is the sum of the parts'.
        parameters: by which the loss is differentiated.
        batch: observations.
        size: observations at a time. A batch of no more is one part, with an ordinary graph.
    """
    if size >= batch or not torch.is_grad_enabled():
        return part(slice(0, batch))
    losses: list[Tensor] = []
    kept: list[tuple[Tensor, ...]] = []
    gradients: list[Tensor | None] = [None] * len(parameters)
    for start in range(0, batch, size):
        loss, values = part(slice(start, min(start + size, batch)))
        losses.append(loss.detach())
        kept.append(tuple(v.detach() for v in values))
        # Backward passes compute in the types of their forward passes, without autocast.
        with torch.autocast(loss.device.type, enabled=False):
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
        for n, gradient in enumerate(found):
            before = gradients[n]
            if before is None:
                gradients[n] = gradient
            elif gradient is not None:
                before.add_(gradient)
    apply: Any = _Differentiated.apply
    loss = apply(torch.stack(losses).sum(), gradients, *parameters)
    return loss, tuple(torch.cat(values) for values in zip(*kept, strict=True))


class _Differentiated(torch.autograd.Function):
    """A value whose gradients are known."""

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, gradients: list[Tensor | None], *parameters: Tensor
    ) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> Any:
        (factor,) = outputs
        return None, None, *(None if g is None else factor * g for g in ctx.gradients)
