"""The fitted quantiser as a policy q(z | x), in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from motiontok.models.local_quantizer import LocalQuantizer
from motiontok.models.sampling import draw_tokens

__all__ = ["LocalPolicy"]


class LocalPolicy:
    """q(z | x) of a :class:`~motiontok.models.local_quantizer.LocalQuantizer`.

    Each token is drawn in proportion to the Gaussian density of the window around what
    the token says: cells with the variance of windows within a cell, codewords with the
    variance of the quantiser's own error. Given the cell the other tokens are
    independent. It is the most random encoder that errs about as much as quantising
    does, and at temperature 0 it is the quantiser.

    Args:
        quantizer: fitted or to be fitted.
    """

    def __init__(self, quantizer: LocalQuantizer) -> None:
        self.quantizer = quantizer

    @torch.no_grad()
    def log_probabilities(self, x: Tensor, codes: Tensor) -> Tensor:
        """log q(. | z_<n, x) ``(batch, samples, codes, vocab)`` at ``(batch, samples, codes)``."""
        quantizer, samples = self.quantizer, codes.shape[1]
        y = quantizer.components(x)
        first = quantizer.cell_scores(y)[:, None].expand(-1, samples, -1)
        cells = codes[..., 0].flatten()
        z = quantizer.coordinates(y.repeat_interleave(samples, dim=0), cells)
        rest = [
            quantizer.word_scores(z, cells, n).unflatten(0, codes.shape[:2])
            for n in range(1, quantizer.codes)
        ]
        return torch.log_softmax(torch.stack([first, *rest], dim=2), dim=-1)

    @torch.no_grad()
    def sample(
        self,
        x: Tensor,
        samples: int,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Codes ``(batch, samples, codes)`` and their log q ``(batch, samples)``.

        Args:
            x: ``(batch, frames, columns)``.
            samples: sequences for each window.
            temperature: divides the logits; 0 takes the most likely token.
            generator: source of randomness, on the device of ``x``.
        """
        quantizer = self.quantizer
        y = quantizer.components(x).repeat_interleave(samples, dim=0)

        def draw(scores: Tensor) -> tuple[Tensor, Tensor]:
            logq = torch.log_softmax(scores, dim=-1)
            choice = draw_tokens(logq, temperature=temperature, generator=generator)
            return choice, logq.gather(-1, choice[:, None])[:, 0]

        cells, logq = draw(quantizer.cell_scores(y))
        z = quantizer.coordinates(y, cells)
        rest = [draw(quantizer.word_scores(z, cells, n)) for n in range(1, quantizer.codes)]
        codes, logqs = zip((cells, logq), *rest, strict=True)
        shape = (len(x), samples)
        total = torch.stack(logqs).sum(dim=0)
        return torch.stack(codes, dim=1).unflatten(0, shape), total.unflatten(0, shape)
