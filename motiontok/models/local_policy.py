"""The fitted quantiser as a policy q(z | x), in closed form."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from motiontok.models.local_quantizer import LocalQuantizer
from motiontok.models.sampling import draw_tokens, log_softmax

__all__ = ["CellPolicy", "LocalPolicy"]


class CellPolicy(ABC):
    """q(z | x) = q(k | x) prod_n q(z_n | k, x): a cell, and then all words in it.

    Given the cell the words are independent, so there are two steps however many tokens
    there are.

    Attributes:
        quantizer: whose cells and words they are.
    """

    quantizer: LocalQuantizer

    @abstractmethod
    def _cell(self, y: Tensor) -> Tensor:
        """log q(k | x) ``(batch, vocab)`` of components ``(batch, components)``."""

    @abstractmethod
    def _words(self, y: Tensor, cells: Tensor) -> Tensor:
        """log q(z_n | k, x) ``(rows, codes - 1, vocab)`` of components in cells ``(rows,)``."""

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

        def draw(logq: Tensor, token: int) -> Tensor:
            given = None if noise is None else noise[..., token]
            return draw_tokens(logq, temperature=temperature, generator=generator, noise=given)

        y = self.quantizer.components(x)
        first = self._cell(y)[:, None].expand(-1, samples, -1)
        cells = draw(first, 0)
        words = self._words(y.repeat_interleave(samples, dim=0), cells.flatten())
        logp = torch.cat([first[:, :, None], words.unflatten(0, cells.shape)], dim=2)
        others = [draw(logp[:, :, n], n) for n in range(1, self.quantizer.codes)]
        codes = torch.stack([cells, *others], dim=-1)
        return codes, logp.gather(-1, codes[..., None])[..., 0].sum(dim=-1)

    def _word_scores(self, y: Tensor, cells: Tensor) -> Tensor:
        """The quantiser's of all words, ``(rows, codes - 1, vocab)``, of components in cells."""
        z = self.quantizer.coordinates(y, cells)
        tokens = range(1, self.quantizer.codes)
        return torch.stack([self.quantizer.word_scores(z, cells, n) for n in tokens], dim=1)


class LocalPolicy(CellPolicy):
    """q(z | x) of a :class:`~motiontok.models.local_quantizer.LocalQuantizer`.

    Each token is drawn in proportion to the Gaussian density of the window around what
    the token says: cells with the variance of windows within a cell, codewords with the
    variance of the quantiser's own error. It is the most random encoder that errs about as
    much as quantising does, and at temperature 0 it is the quantiser.

    Args:
        quantizer: fitted or to be fitted.
    """

    def __init__(self, quantizer: LocalQuantizer) -> None:
        self.quantizer = quantizer

    def _cell(self, y: Tensor) -> Tensor:
        return log_softmax(self.quantizer.cell_scores(y))

    def _words(self, y: Tensor, cells: Tensor) -> Tensor:
        return log_softmax(self._word_scores(y, cells))
