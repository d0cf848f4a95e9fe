"""The fitted quantiser as a policy q(z | x), in closed form."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from motiontok.models.lopq_quantizer import LopqQuantizer
from motiontok.models.sampling import draw_tokens, log_softmax

__all__ = ["CellPolicy", "LopqPolicy"]


class CellPolicy(ABC):
    """q(z | x) = q(k | x) q(s | k, x) prod_n q(z_n | s, k, x): a cell, sizes, all words.

    Given the cell and sizes, the words are independent. So there are three steps for any number of
    tokens, and two if no token names sizes.

    Attributes:
        quantizer: the quantiser with the cells and words.
    """

    quantizer: LopqQuantizer

    @abstractmethod
    def _cell(self, y: Tensor) -> Tensor:
        """log q(k | x) ``(batch, vocab)`` of components ``(batch, components)``."""

    @abstractmethod
    def _next(self, y: Tensor, head: Tensor) -> Tensor:
        """log q ``(rows, tokens, vocab)`` of the tokens of one step.

        Args:
            y: components ``(rows, components)``.
            head: ``(rows, tokens)``, the known part of the quantiser's head. The next step is the
                rest of the head, or all words.
        """

    def log_probabilities(self, x: Tensor, codes: Tensor) -> Tensor:
        """log q(. | z_<n, x) ``(batch, samples, codes, vocab)`` at ``(batch, samples, codes)``."""
        samples = codes.shape[1]
        y = self.quantizer.components(x)
        first = self._cell(y)[:, None, None].expand(-1, samples, -1, -1)
        rows, flat = y.repeat_interleave(samples, dim=0), codes.flatten(0, 1)
        steps = [self._next(rows, flat[:, :known]) for known in range(1, self.quantizer.head + 1)]
        return torch.cat([first, torch.cat(steps, dim=1).unflatten(0, codes.shape[:2])], dim=2)

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
        rows = y.repeat_interleave(samples, dim=0)
        logp = self._cell(y)[:, None, None].expand(-1, samples, -1, -1)
        codes = draw(logp[:, :, 0], 0)[..., None]
        while codes.shape[-1] < self.quantizer.codes:
            step = self._next(rows, codes.flatten(0, 1)).unflatten(0, codes.shape[:2])
            first = codes.shape[-1]
            drawn = [draw(step[:, :, n], first + n) for n in range(step.shape[2])]
            codes = torch.cat([codes, torch.stack(drawn, dim=-1)], dim=-1)
            logp = torch.cat([logp, step], dim=2)
        return codes, logp.gather(-1, codes[..., None])[..., 0].sum(dim=-1)

    def _next_scores(self, y: Tensor, head: Tensor) -> Tensor:
        """The quantiser's scores, as :meth:`_next`."""
        known, quantizer = head.shape[1], self.quantizer
        z = quantizer.coordinates(y, head[:, 0])
        tokens = range(known, quantizer.codes if known == quantizer.head else known + 1)
        return torch.stack([quantizer.word_scores(z, head, n) for n in tokens], dim=1)


class LopqPolicy(CellPolicy):
    """q(z | x) of a :class:`~motiontok.models.lopq_quantizer.LopqQuantizer`.

    Each token is drawn in proportion to the Gaussian density of the window around the token's
    codeword: cells with the variance of windows within a cell, sizes as the variance of the
    window's coordinates, codewords with the variance of the quantiser's own error at the size. It
    is the most random encoder with about the error of quantising. At temperature 0 it is the
    quantiser that tries one cell and one size.

    Args:
        quantizer: fitted or to be fitted.
    """

    def __init__(self, quantizer: LopqQuantizer) -> None:
        self.quantizer = quantizer

    def _cell(self, y: Tensor) -> Tensor:
        return log_softmax(self.quantizer.cell_scores(y))

    def _next(self, y: Tensor, head: Tensor) -> Tensor:
        return log_softmax(self._next_scores(y, head))
