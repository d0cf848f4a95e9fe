"""Convolutions over the steps of ``(batch, steps, channels)`` as products of matrices.

What a step's kernel sees lies in one row. So norms, activations and products before and after go
over contiguous memory, which on a processor takes two thirds of the time of
``(batch, channels, steps)``.

Sequences of any lengths may stand in one row, with steps between them that are *outside*: ``inside
(batch, steps, 1)`` is 1 where there is a step of a sequence and 0 between. Every kernel then finds
the zeros there that it finds before and after a sequence alone. ``inside`` may have fewer steps
than what it is for, as many to each of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

__all__ = ["StepConv", "StepLayers", "TransposedStepConv", "fixed_weights"]


class StepConv(nn.Conv1d):
    """A convolution over steps; its weights are those of :class:`torch.nn.Conv1d`.

    The kernel is a multiple of the stride.

    Attributes:
        fixed: :meth:`matrix` within :func:`fixed_weights`.
    """

    fixed: Tensor | None = None

    @override
    def forward(self, x: Tensor, inside: Tensor | None = None) -> Tensor:
        (size,), (stride,), (dilation,) = self.kernel_size, self.stride, self.dilation
        taps, pad = size // stride, int(self.padding[0])
        if taps > 1:
            x = F.pad(_cleared(x, inside), (0, 0, pad, pad)).unflatten(1, (-1, stride)).flatten(2)
            steps = x.shape[1] - dilation * (taps - 1)
            shifts = range(0, taps * dilation, dilation)
            x = torch.cat([x[:, shift : shift + steps] for shift in shifts], dim=2)
        fixed = self.fixed
        return F.linear(x, self.matrix() if fixed is None else fixed, self.bias)

    def matrix(self) -> Tensor:
        """Weights as ``(channels out, kernel * channels in)``."""
        return self.weight.mT.flatten(1)


class TransposedStepConv(nn.ConvTranspose1d):
    """A transposed convolution over steps, each becoming ``stride`` steps.

    Its weights are those of :class:`torch.nn.ConvTranspose1d`. The kernel is a multiple of the
    stride, and padding is half of what it has beyond the stride.

    Attributes:
        fixed: as of :class:`StepConv`.
    """

    fixed: Tensor | None = None

    @override
    def forward(self, x: Tensor, inside: Tensor | None = None) -> Tensor:  # type: ignore[override]
        (size,), (stride,) = self.kernel_size, self.stride
        pad, steps, more = int(self.padding[0]), x.shape[1], size // stride - 1
        x = F.pad(_cleared(x, inside), (0, 0, more, more))
        x = torch.cat([x[:, shift : shift + steps + more] for shift in range(more, -1, -1)], dim=2)
        bias = None if self.bias is None else self.bias.repeat(stride)
        fixed = self.fixed
        y = F.linear(x, self.matrix() if fixed is None else fixed, bias)
        return y.unflatten(2, (stride, -1)).flatten(1, 2)[:, pad : pad + stride * steps]

    def matrix(self) -> Tensor:
        """Weights as ``(stride * channels out, kernel / stride * channels in)``."""
        each = self.weight.unflatten(2, (-1, self.stride[0])).permute(3, 1, 2, 0)
        return each.flatten(2).flatten(0, 1)


class StepLayers(nn.Sequential):
    """One layer after the other; norms and activations are of each step alone."""

    @override
    def forward(self, x: Tensor, inside: Tensor | None = None) -> Tensor:
        for layer in self:
            x = layer(x) if isinstance(layer, nn.LayerNorm | nn.GELU) else layer(x, inside)
        return x


@contextmanager
def fixed_weights(network: nn.Module) -> Iterator[None]:
    """As long as it lasts, the weights of these convolutions are laid out and have no gradients.

    Threads may share a network, as a server's do, if none of them changes its weights meanwhile:
    whoever ends first leaves the others to lay weights out at each call.
    """
    layers = [m for m in network.modules() if isinstance(m, StepConv | TransposedStepConv)]
    for layer in layers:
        layer.fixed = layer.matrix().detach()
    try:
        yield
    finally:
        for layer in layers:
            layer.fixed = None


def _cleared(x: Tensor, inside: Tensor | None) -> Tensor:
    """``x (batch, steps, channels)`` with zeros where no sequence is."""
    if inside is None:
        return x
    return x * inside.repeat_interleave(x.shape[1] // inside.shape[1], dim=1)
