"""A policy that starts as a fitted quantiser's and learns to move the point it quantises."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from motiontok.models.local_quantizer import LocalQuantizer
from motiontok.models.perceptron import ZeroPerceptron
from motiontok.models.sampling import draw_tokens, log_softmax

__all__ = ["MovingPolicy"]


class MovingPolicy(nn.Module):
    """q(z | x) = q(k | x) prod_n q(z_n | k, x): a cell, and then all words in it.

    Logits are those of :class:`~motiontok.models.local_policy.LocalPolicy`, Gaussian densities
    around what a token says, of a point that perceptrons move and with a learned precision
    for each token. Nothing is moved at first. What it learns of one token holds for those
    that say something similar. Given the cell the words are independent, so there are two
    steps however many tokens there are.

    Args:
        quantizer: the decoder's, fitted or to be fitted.
        width: hidden units of the perceptrons.
        layers: hidden layers.

    Attributes:
        unit: rms of a component, what the perceptrons' inputs are divided by.
    """

    quantizer: LocalQuantizer
    unit: Tensor

    def __init__(self, quantizer: LocalQuantizer, *, width: int, layers: int) -> None:
        super().__init__()
        # The decoder owns the quantiser; registered here too it would be saved twice.
        self.__dict__["quantizer"] = quantizer
        components = len(quantizer.basis)
        self.register_buffer("unit", torch.ones(()))
        self.of_cell = ZeroPerceptron(components, components, width=width, layers=layers)
        self.of_words = ZeroPerceptron(
            2 * components, components, width=width, layers=layers, kinds=quantizer.vocab_size
        )
        self.precision = nn.Parameter(torch.zeros(quantizer.codes))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Learn scales from observations ``(count, *shape)``."""
        y = self.quantizer.components(x)
        self.unit.copy_(y.square().mean().sqrt().clamp_min(1e-6))

    def _cell(self, y: Tensor) -> Tensor:
        """log q(k | x) ``(batch, vocab)`` of components ``(batch, components)``."""
        reach = self.quantizer.cell_variance.sqrt()
        scores = self.quantizer.cell_scores(y + reach * self.of_cell(y / self.unit))
        return log_softmax(self.precision[0].exp() * scores)

    def _words(self, y: Tensor, cells: Tensor) -> Tensor:
        """log q(z_n | k, x) ``(rows, codes - 1, vocab)`` of components in cells ``(rows,)``."""
        quantizer = self.quantizer
        around = (y - quantizer.centroids[cells]) / self.unit
        reach = quantizer.cell_variance.sqrt()
        moved = y + reach * self.of_words(torch.cat([y / self.unit, around], dim=1), cells)
        z = quantizer.coordinates(moved, cells)
        scores = [quantizer.word_scores(z, cells, n) for n in range(1, quantizer.codes)]
        return log_softmax(self.precision[1:, None].exp() * torch.stack(scores, dim=1))

    def log_probabilities(self, x: Tensor, codes: Tensor) -> Tensor:
        """log q(. | z_<n, x) ``(batch, samples, codes, vocab)`` at ``(batch, samples, codes)``."""
        samples = codes.shape[1]
        y = self.quantizer.components(x)
        first = self._cell(y)[:, None, None].expand(-1, samples, -1, -1)
        words = self._words(y.repeat_interleave(samples, dim=0), codes[..., 0].flatten())
        return torch.cat([first, words.unflatten(0, codes.shape[:2])], dim=2)

    @torch.no_grad()
    def sample(
        self,
        x: Tensor,
        samples: int,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw sequences.

        Args:
            x: ``(batch, *shape)``.
            samples: sequences for each observation.
            temperature: divides the logits; 0 takes the most likely token.
            generator: source of randomness, on the device of ``x``.
            noise: numbers of [0, 1) ``(batch, samples, codes)`` to draw with instead.

        Returns:
            Codes ``(batch, samples, codes)`` and their log q ``(batch, samples)`` (at
            temperature 1).
        """

        def draw(logq: Tensor, here: int | slice) -> Tensor:
            given = None if noise is None else noise[..., here]
            return draw_tokens(logq, temperature=temperature, generator=generator, noise=given)

        y = self.quantizer.components(x)
        first = self._cell(y)[:, None].expand(-1, samples, -1)
        cells = draw(first, 0)
        words = self._words(y.repeat_interleave(samples, dim=0), cells.flatten())
        words = words.unflatten(0, cells.shape)
        chosen = draw(words, slice(1, None))
        logq = first.gather(-1, cells[..., None])[..., 0]
        logq = logq + words.gather(-1, chosen[..., None])[..., 0].sum(dim=-1)
        return torch.cat([cells[..., None], chosen], dim=-1), logq
