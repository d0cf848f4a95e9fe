"""A perceptron whose output is zero at first."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from motiontok.models.initialization import zeroed

__all__ = ["ZeroInitMLP"]


class ZeroInitMLP(nn.Module):
    """Residual hidden layers; the output is zero until training changes it.

    Args:
        inputs, outputs: numbers.
        width: hidden units.
        layers: hidden layers.
        kinds: kinds of inputs, each with an offset of its own before the first activation;
            0 for inputs of one kind.
    """

    def __init__(
        self, inputs: int, outputs: int, *, width: int, layers: int, kinds: int = 0
    ) -> None:
        super().__init__()
        self.read = nn.Linear(inputs, width)
        if kinds:
            self.kind = nn.Embedding(kinds, width)
            nn.init.normal_(self.kind.weight, std=0.02)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([width] * layers))
        self.out = zeroed(nn.Linear(width, outputs))

    def forward(self, x: Tensor, kind: Tensor | None = None) -> Tensor:
        """``(batch, outputs)`` of inputs ``(batch, inputs)`` and their kinds ``(batch,)``."""
        read = self.read(x)
        h = F.gelu(read if kind is None else read + self.kind(kind))
        for layer in self.hidden:
            h = h + F.gelu(layer(h))
        return self.out(h)
