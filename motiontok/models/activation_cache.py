"""Activations of sampling, kept for the gradients that follow with the same weights.

Teacher forcing over sequences just drawn would compute sampling's linear layers again, a quarter of
its arithmetic. An :class:`ActivationCache` keeps their outputs; the gradient of a linear layer
needs its input and its weights only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["ActivationCache", "LinearFn", "choose", "compute"]

LinearFn = Callable[[nn.Linear, Tensor], Tensor]
"""From a layer and its input ``(..., inputs)`` to its output ``(..., outputs)``."""


def compute(layer: nn.Linear, x: Tensor) -> Tensor:
    """A layer's output, computed."""
    return cast(Tensor, layer(x))


class ActivationCache:
    """Outputs of layers for all tokens of one batch that is drawn token by token.

    Args:
        samples: sequences for each observation.
        length: tokens of a sequence.
    """

    def __init__(self, samples: int, length: int) -> None:
        self.samples, self.length = samples, length
        self._kept: dict[tuple[nn.Linear, ...], Tensor] = {}

    def keep(self, y: Tensor, place: int, *layers: nn.Linear) -> None:
        """Keep outputs ``(batch * samples, outputs)`` of token ``place``.

        Args:
            y: of several layers side by side.
            place: position of the token.
            layers: the layers.
        """
        if layers not in self._kept:
            self._kept[layers] = y.new_empty(len(y), self.length, y.shape[-1])
        self._kept[layers][:, place] = y

    def product(self, rows: slice) -> LinearFn:
        """The kept outputs for some ``rows`` of the batch, as a :data:`LinearFn`."""
        known: dict[nn.Linear, Tensor] = {}
        for layers, kept in self._kept.items():
            part = kept.unflatten(0, (-1, self.samples))[rows]
            sizes = [layer.out_features for layer in layers]
            known.update(zip(layers, part.split(sizes, dim=-1), strict=True))

        def product(layer: nn.Linear, x: Tensor) -> Tensor:
            output = known[layer].view(*x.shape[:-1], layer.out_features)
            apply: Any = _Known.apply
            return cast(Tensor, apply(x, layer.weight, layer.bias, output))

        return product


def choose(logits: Tensor, logp: Tensor, codes: Tensor) -> Tensor:
    """log q of codes ``(...)``, with the gradients of softmax in one pass.

    Args:
        logits: ``(..., vocab)``; only gradients go there.
        logp: their log-probabilities.
        codes: ``(...)``.
    """
    apply: Any = _Chosen.apply
    return cast(Tensor, apply(logits, logp, codes))


class _Known(torch.autograd.Function):
    """``x @ weight.T + bias`` with a known output."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, output: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        gradient = outputs[0].flatten(0, -2)
        return (
            (gradient @ weight).view(x.shape),
            gradient.T @ x.flatten(0, -2),
            gradient.sum(dim=0) if ctx.biased else None,
            None,
        )


class _Chosen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, logp: Tensor, codes: Tensor) -> Tensor:
        ctx.save_for_backward(logp, codes)
        return logp.gather(-1, codes[..., None])[..., 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> Any:
        logp, codes = ctx.saved_tensors
        (gradient,) = outputs
        # Not exp, which on a CPU is several times as slow, and more where it underflows.
        by_logits = torch.softmax(logp, dim=-1).mul_(-gradient[..., None])
        return by_logits.scatter_add_(-1, codes[..., None], gradient[..., None]), None, None
