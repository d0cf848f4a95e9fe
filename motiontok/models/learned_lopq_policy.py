"""A policy that starts as a fitted quantiser's and learns to move the point that it quantises."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from motiontok.models.lopq_policy import CellPolicy
from motiontok.models.lopq_quantizer import LopqQuantizer
from motiontok.models.sampling import log_softmax
from motiontok.models.zero_init_mlp import ZeroInitMLP

__all__ = ["LearnedLopqPolicy"]


class LearnedLopqPolicy(nn.Module, CellPolicy):
    """:class:`~motiontok.models.lopq_policy.LopqPolicy`, learning.

    Logits are Gaussian densities around a token's codeword, of a point that perceptrons move, with
    a learned precision for each token. At first nothing is moved. What it learns about one codeword
    holds for similar ones.

    Args:
        quantizer: the decoder's, fitted or to be fitted.
        width: hidden units of the perceptrons.
        layers: hidden layers.

    Attributes:
        unit: rms of a component, the divisor of the perceptrons' inputs.
    """

    unit: Tensor

    def __init__(self, quantizer: LopqQuantizer, *, width: int, layers: int) -> None:
        super().__init__()
        # The decoder owns the quantiser; registered here too it would be saved twice.
        self.__dict__["quantizer"] = quantizer
        components = len(quantizer.basis)
        self.register_buffer("unit", torch.ones(()))
        self.of_cell = ZeroInitMLP(components, components, width=width, layers=layers)
        self.of_words = ZeroInitMLP(
            2 * components, components, width=width, layers=layers, kinds=quantizer.vocab_size
        )
        self.precision = nn.Parameter(torch.zeros(quantizer.codes))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Learn scales from observations ``(count, *shape)``."""
        y = self.quantizer.components(x)
        self.unit.copy_(y.square().mean().sqrt().clamp_min(1e-6))

    def _cell(self, y: Tensor) -> Tensor:
        reach = self.quantizer.cell_variance.sqrt()
        scores = self.quantizer.cell_scores(y + reach * self.of_cell(y / self.unit))
        return log_softmax(self.precision[0].exp() * scores)

    def _next(self, y: Tensor, head: Tensor) -> Tensor:
        cells = head[:, 0]
        around = (y - self.quantizer.centroids[cells]) / self.unit
        reach = self.quantizer.cell_variance.sqrt()
        moved = y + reach * self.of_words(torch.cat([y / self.unit, around], dim=1), cells)
        scores = self._next_scores(moved, head)
        here = self.precision[head.shape[1] :][: scores.shape[1]]
        return log_softmax(here[:, None].exp() * scores)
