"""The codes of a temporal tokenizer as vectors, in the components of a window.

The counterpart of :mod:`motiontok.prior.lopq_codes` for residual tokens: a code subtracts a
codeword from the residual of a few components, in units of the size that the first code names. The
expectation of a component applies to the first code that codes it; the residual after that has no
direction.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motiontok.methods.quantizers.temporal import Temporal
from motiontok.models.residual_quantizer import ResidualQuantizer
from motiontok.prior.codewords import whitening, word_scores

__all__ = ["ResidualCodes", "residual_command_map"]


def residual_command_map(method: Temporal) -> Tensor:
    """The linear map from components to a window's mean velocity (m/s) and yaw rate (rad/s).

    It has the gradients of the decoder at the mean window, between mean windows: a linear map, and
    the decoder is nearly linear there.

    Returns:
        ``(components + 1, 3)``, forward, left and turn; the last row is added.
    """
    quantizer, steps = method.quantizer, method.steps
    components = quantizer.mean.new_zeros(len(quantizer.deviation), requires_grad=True)
    with torch.enable_grad():
        own = components @ quantizer.synthesis + quantizer.mean
        windows = torch.stack([quantizer.mean, own, quantizer.mean]).unflatten(1, (steps, -1))
        frames = method.decoder(windows.flatten(0, 1)[None])[0]
        says = method.error.velocities(frames.chunk(3)[1]).mean(dim=0)[[1, 2, 0]]
        rows = [torch.autograd.grad(one, components, retain_graph=True)[0] for one in says]
    return torch.cat([torch.stack(rows, dim=1), says.detach()[None]])


class ResidualCodes(nn.Module):
    """Codes of a :class:`~motiontok.models.residual_quantizer.ResidualQuantizer` as vectors.

    All of it follows from the tokenizer, so it is not saved with a prior. Methods are those of
    :class:`~motiontok.prior.lopq_codes.LopqCodes`.

    Args:
        quantizer: fitted.
        codes: number of first codes of each window that are read.

    Attributes:
        head: codes that others depend on: that of the size.
        levels: ``(vocab,)``, sizes.
        places: ``(codes - 1, subspace)``, components of each code after it.
        first: ``(codes - 1, subspace)``, 1 where no earlier code codes the component, else 0.
        words: ``(codes - 1, vocab, subspace)``, codewords of size 1.
        scale: ``(codes,)``, root mean square of a component of a code's vector; 1 for the size.
        whitening: ``(components,)``, factors that make components comparable.
    """

    head = 1
    levels: Tensor
    places: Tensor
    first: Tensor
    words: Tensor
    scale: Tensor
    whitening: Tensor

    @torch.no_grad()
    def __init__(self, quantizer: ResidualQuantizer, codes: int) -> None:
        super().__init__()
        components, words = quantizer.components[: codes - 1], quantizer.words[: codes - 1]
        variance = quantizer.deviation.square()
        squares = quantizer.word_squares()
        # The usual size: that in which codewords have the variance of all components.
        size = (variance.sum() / squares.sum().clamp_min(1e-12)).sqrt()
        usual = size * squares[: codes - 1].mean(dim=1).sqrt()
        scale = torch.cat([usual.new_ones(1), usual.clamp_min(1e-6)])
        spoken = torch.zeros_like(variance, dtype=torch.bool)
        first = torch.ones_like(words[:, 0])
        for fresh, places in zip(first, components, strict=True):
            fresh[spoken[places]] = 0.0
            spoken[places] = True
        buffers = {
            "first": first,
            "levels": quantizer.levels,
            "places": components,
            "words": words,
            "scale": scale,
            "whitening": whitening(variance),
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer.clone(), persistent=False)

    def only(self, position: Tensor) -> ResidualCodes:
        """Only the codes of one position ``(1,)``, from 1 on, as if it were position 1."""
        out = copy.copy(self)
        out._buffers = dict(self._buffers)
        out.places, out.first = self.places[position - 1], self.first[position - 1]
        out.words = self.words[position - 1]
        out.scale = torch.cat([self.scale[:1], self.scale[position]])
        return out

    def vectors(self, codes: Tensor) -> Tensor:
        """Vectors ``(windows, codes, components)`` of codes ``(windows, codes)``."""
        count, tokens = codes.shape
        out = self.levels.new_zeros(count, tokens, len(self.whitening))
        places = self.places[: tokens - 1].expand(count, -1, -1)
        out[:, 1:].scatter_(2, places, self._said(codes))
        return out

    def windows(self, codes: Tensor) -> Tensor:
        """Components ``(windows, components)`` of whole windows: the sum of their vectors."""
        out = self.levels.new_zeros(len(codes), len(self.whitening))
        places = self.places[: codes.shape[1] - 1].flatten().expand(len(codes), -1)
        return out.scatter_add_(1, places, self._said(codes).flatten(1))

    def vector(self, position: int, codes: Tensor, head: Tensor) -> Tensor:
        """Vectors ``(rows, components)`` of codes ``(rows,)`` at a position."""
        out = self.levels.new_zeros(len(codes), len(self.whitening))
        if position:
            said = self.words[position - 1, codes] * self.levels[head[:, 0], None]
            out[:, self.places[position - 1]] = said
        return out

    def effects(self, position: int, along: Tensor, head: Tensor) -> Tensor:
        """What each code at a position adds, ``(rows, vocab, directions)``.

        Args:
            position: of the code.
            along: ``(components, directions)``, what it is seen along.
            head: ``(rows, codes)``, those of the head that come before.
        """
        if position == 0:
            return along.new_zeros(len(head), len(self.levels), along.shape[1])
        seen = self.words[position - 1] @ along[self.places[position - 1]]
        return seen * self.levels[head[:, 0], None, None]

    def scores(self, expected: Tensor, changes: Tensor, precision: Tensor, head: Tensor) -> Tensor:
        """Log-densities of each code's vector up to a constant, ``(windows, codes, vocab)``.

        Args:
            expected: ``(windows, components)``, the expected whole window.
            changes: ``(windows, codes, components)``, added to it at each position, in units
                of ``scale``.
            precision: ``(windows, codes)``, one over the variance in those units.
            head: ``(windows, 1)``, the first code.
        """
        along = expected[:, self.places] * self.first / self.scale[1:, None]
        places = self.places.expand(len(head), -1, -1)
        along = along + changes[:, 1:].gather(2, places)
        unit = self.levels[head] / self.scale[1:]
        squares = 0.5 * self.words.square().sum(dim=-1)
        found = torch.einsum("bts,tvs->btv", along * unit[..., None], self.words)
        found = precision[:, 1:, None] * (found - unit.square()[..., None] * squares)
        return F.pad(found, (0, 0, 1, 0))

    def score(
        self, position: int, expected: Tensor, changes: Tensor, precision: Tensor, head: Tensor
    ) -> Tensor:
        """:meth:`scores` at one position, ``(rows, vocab)``.

        Args:
            position: of the code.
            expected, changes: ``(rows, components)``.
            precision: ``(rows,)``.
            head: ``(rows, codes)``, the head's codes before it.
        """
        if position == 0:
            return expected.new_zeros(len(expected), len(self.levels))
        n = position - 1
        words, places = self.words[n], self.places[n]
        along = expected[:, places] * self.first[n] / self.scale[position] + changes[:, places]
        unit = self.levels[head[:, 0], None] / self.scale[position]
        return word_scores(along, unit, words, precision)

    def _said(self, codes: Tensor) -> Tensor:
        """Codewords in units of components, ``(windows, codes - 1, subspace)``."""
        each = torch.arange(codes.shape[1] - 1, device=codes.device)
        return self.words[each, codes[:, 1:]] * self.levels[codes[:, 0], None, None]
