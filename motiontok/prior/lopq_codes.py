"""The codes of a lopq tokenizer as vectors, in components that all its cells share.

A lopq tokenizer's codeword means another motion in every cell, since it lies in the local basis of
that cell. A table of codes cannot express that. Here codes are read as their addition to the
decoded window. They are scored as the tokenizer would choose them for a window that the network
expects: by the distance of their vector from that window, with a precision from the network. So
learning in one cell holds in all of them, and codewords far from the expected window are unlikely
by themselves. A code of sizes adds nothing by itself: the table alone reads and scores it, and it
scales the codes after it.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from bvh.motion import FPS
from motiontok.data import Statistics
from motiontok.models import LopqQuantizer
from motiontok.prior.codewords import whitening, word_scores
from motiontok.prior.tokens import COMMAND_COLUMNS

__all__ = ["LopqCodes", "command_map"]


@torch.no_grad()
def command_map(quantizer: LopqQuantizer, statistics: Statistics) -> Tensor:
    """The linear map from components to a window's mean velocity (m/s) and yaw rate (rad/s).

    It is exact: windows are coded with running sums of velocities, and the sum over the whole
    window is its mean times the window's length.

    Returns:
        ``(components + 1, 3)``, forward, left and turn; the last row is added.
    """
    frames, columns = quantizer.shape
    last = (frames - 1) * columns + torch.tensor(COMMAND_COLUMNS)
    found = (statistics.scale, statistics.mean)
    scale, mean = (values[COMMAND_COLUMNS].to(quantizer.mean) for values in found)
    rows = torch.cat([quantizer.basis[:, last], quantizer.mean[None, last]]) * scale
    rows[-1] += mean
    return rows * (FPS / frames)


class LopqCodes(nn.Module):
    """Codes of a :class:`~motiontok.models.lopq_quantizer.LopqQuantizer` as vectors.

    All of it follows from the tokenizer, so it is not saved with a prior. The meaning of codes
    depends on the first ones, the head: the cell's and that of sizes.

    Args:
        quantizer: fitted.

    Attributes:
        head: codes of the head.
        centroids: ``(vocab, components)``, of the first code.
        base: ``(vocab,)``, local basis of each cell.
        directions: ``(bases, coordinates, components)``, orthonormal rows.
        units: ``(bases, coordinates)``, distance along its direction of a
            coordinate of 1, at size 1.
        sizes: ``(vocab, coordinates)``, factors of coordinates by a code of sizes; no rows
            if there is no such code.
        words: ``(vocab, coordinates)``, codewords; code n >= 1 has the columns that it owns.
        owner: ``(coordinates,)``, the code of each.
        scale: ``(codes,)``, root mean square of a code's addition: of its vector for the first
            one, of a coordinate for the others at the usual size; 1 for that of sizes.
        whitening: ``(components,)``, factors that make components comparable.
    """

    centroids: Tensor
    base: Tensor
    directions: Tensor
    units: Tensor
    sizes: Tensor
    words: Tensor
    owner: Tensor
    scale: Tensor
    whitening: Tensor

    @torch.no_grad()
    def __init__(self, quantizer: LopqQuantizer) -> None:
        super().__init__()
        centroids, spread, words = quantizer.centroids, quantizer.spread, quantizer.codewords
        self._keep("base", quantizer.base.clone())
        self._keep("owner", quantizer.owner.clone())
        # Columns of each code; of the first, which has none, nothing.
        self._slices = [slice(0), *(slice(*ends) for ends in pairwise(quantizer.ends.tolist()))]
        self._keep("centroids", centroids.clone())
        self._keep("words", words.clone())
        self._keep("directions", quantizer.local.clone())
        self._keep("units", spread.clone())
        self.head = quantizer.head
        # No rows where no code names sizes: all are 1.
        sizes = words.new_ones(0, words.shape[1])
        if quantizer.sizes is not None:
            sizes = quantizer.sizes.deviations[:, quantizer.sizes.band[quantizer.owner - 2]]
        self._keep("sizes", sizes)
        # Sizes are 1 on average over windows: coordinates have unit variance then.
        lengths = spread.square().mean(dim=0) * words.square().mean(dim=0)
        scale = [centroids.square().sum(dim=1).mean()]
        owned = [lengths[here] for here in self._slices[1:]]
        # A code that owns nothing adds nothing.
        scale += [each.mean() if len(each) else each.new_ones(()) for each in owned]
        self._keep("scale", torch.stack(scale).sqrt().clamp_min(1e-6))
        variance = centroids.square().mean(dim=0)
        self._keep("whitening", whitening(variance))

    def _keep(self, name: str, buffer: Tensor) -> None:
        self.register_buffer(name, buffer, persistent=False)

    def vectors(self, codes: Tensor) -> Tensor:
        """Vectors ``(windows, codes, components)`` of codes ``(windows, codes)``."""
        said, base = self._said(codes)
        parts = said[..., None] * self.directions[base]
        out = parts.new_zeros(*codes.shape, parts.shape[-1]).index_add_(1, self.owner, parts)
        out[:, 0] = self.centroids[codes[:, 0]]
        return out

    def windows(self, codes: Tensor) -> Tensor:
        """Components ``(windows, components)`` of whole windows: the sum of their vectors."""
        said, base = self._said(codes)
        return self.centroids[codes[:, 0]] + (said[:, None] @ self.directions[base])[:, 0]

    def vector(self, position: int, codes: Tensor, head: Tensor) -> Tensor:
        """Vectors ``(rows, components)`` of codes ``(rows,)`` at a position."""
        if position == 0:
            return self.centroids[codes]
        here, base = self._slices[position], self.base[head[:, 0]]
        said = self.words[codes, here] * self._units(head)[:, here]
        return (said[:, None] @ self.directions[base, here])[:, 0]

    def effects(self, position: int, along: Tensor, head: Tensor) -> Tensor:
        """Vectors of all codes at a position, projected on some directions.

        Args:
            position: of the code.
            along: ``(components, directions)``.
            head: ``(rows, codes)``, the head's codes before it.

        Returns:
            ``(rows, vocab, directions)``.
        """
        if position == 0:
            return (self.centroids @ along).expand(len(head), -1, -1)
        here, base = self._slices[position], self.base[head[:, 0]]
        units = self._units(head)[:, here, None]
        return self.words[:, here] @ (units * (self.directions[base, here] @ along))

    def _units(self, head: Tensor) -> Tensor:
        """Distance along its direction of a coordinate of 1, ``(rows, coordinates)``."""
        units = self.units[self.base[head[:, 0]]]
        if self.head == 1 or head.shape[1] == 1:
            return units
        return units * self.sizes[head[:, 1]]

    def _said(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Local coordinates and local bases of windows."""
        said = self.words.gather(0, codes[:, self.owner]) * self._units(codes)
        return said, self.base[codes[:, 0]]

    def scores(self, expected: Tensor, changes: Tensor, precision: Tensor, head: Tensor) -> Tensor:
        """Log-densities of each code's vector up to a constant, ``(windows, codes, vocab)``.

        Args:
            expected: ``(windows, components)``, the expected whole window.
            changes: ``(windows, codes, components)``, added to it at each position, in units
                of ``scale``.
            precision: ``(windows, codes)``, one over the variance in those units.
            head: ``(windows, head)`` the first codes.
        """
        base, units = self.base[head[:, 0]], self._units(head)
        # One product for all positions: a row's part of what is expected of the window.
        rest = (expected - self.centroids[head[:, 0]])[..., None]
        found = (self.directions[base] @ rest)[..., 0]
        out = [self._cell_scores(expected, changes[:, 0], precision[:, 0])]
        for n, here in enumerate(self._slices[1:], start=1):
            along = found[:, here] / self.scale[n]
            along = along + (self.directions[base, here] @ changes[:, n, :, None])[..., 0]
            out.append(self._word_scores(n, along, precision[:, n], units))
        return torch.stack(out, dim=1)

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
            return self._cell_scores(expected, changes, precision)
        base = self.base[head[:, 0]]
        meant = (expected - self.centroids[head[:, 0]]) / self.scale[position] + changes
        directions = self.directions[base, self._slices[position]]
        along = (directions @ meant[..., None])[..., 0]
        return self._word_scores(position, along, precision, self._units(head))

    def _cell_scores(self, expected: Tensor, changes: Tensor, precision: Tensor) -> Tensor:
        cells = self.centroids / self.scale[0]
        meant = expected / self.scale[0] + changes
        return precision[:, None] * (meant @ cells.T - 0.5 * cells.square().sum(dim=1))

    def _word_scores(self, n: int, along: Tensor, precision: Tensor, units: Tensor) -> Tensor:
        here = self._slices[n]
        words = self.words[:, here]
        unit = units[:, here] / self.scale[n]
        return word_scores(along, unit, words, precision)
