"""A network on top of a locally optimised product quantiser."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from motiontok.models.likelihood import Likelihood
from motiontok.models.lopq_quantizer import LopqQuantizer
from motiontok.models.zero_init_mlp import ZeroInitMLP

__all__ = ["LopqDecoder"]


class LopqDecoder(nn.Module):
    """Parameters of p(x | z): the quantiser's decoded window plus a perceptron's output.

    The perceptron reads the decoded components and the cell, and adds to every parameter. Its
    output starts at zero. The quantiser stays as fitted.

    Args:
        quantizer: fitted or to be fitted.
        likelihood: p(x | z).
        width: hidden units.
        layers: hidden layers.

    Attributes:
        unit: rms of a component, the divisor of the perceptron's inputs.
        square: ``shape``, mean square of a value's quantisation error.
    """

    unit: Tensor
    square: Tensor

    def __init__(
        self, quantizer: LopqQuantizer, likelihood: Likelihood, *, width: int, layers: int
    ) -> None:
        super().__init__()
        self.quantizer, self.likelihood = quantizer, likelihood
        self.register_buffer("unit", torch.ones(()))
        self.register_buffer("square", torch.ones(quantizer.shape))
        self.perceptron = ZeroInitMLP(
            len(quantizer.basis),
            likelihood.parameters_per_value * math.prod(quantizer.shape),
            width=width,
            layers=layers,
            kinds=quantizer.vocab_size,
        )

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Learn scales from observations ``(count, *shape)`` and the fitted quantiser."""
        y = self.quantizer.decode_components(self.quantizer.encode(x))
        self.unit.copy_(y.square().mean().sqrt().clamp_min(1e-6))
        self.square.copy_((x - self.quantizer.synthesize(y)).square().mean(dim=0))

    def forward(self, codes: Tensor) -> Tensor:
        """Parameters of codes ``(batch, codes)``, as the likelihood has them."""
        with torch.no_grad():
            y = self.quantizer.decode_components(codes)
            start = self.likelihood.around(self.quantizer.synthesize(y), self.square)
        return start + self.perceptron(y / self.unit, codes[:, 0]).view_as(start)
