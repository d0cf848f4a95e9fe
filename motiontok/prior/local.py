"""What the codes of a lopq tokenizer say, in components that all its cells share.

A lopq tokenizer's codeword means another motion in every cell: it lies in the local basis
of that cell. A table of codes cannot tell. Here codes are read as what they add to the
decoded window, and scored by how well that agrees with a direction in the window that the
network asks for: what is learnt in one cell then holds in all of them.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from motiontok.models import LocalQuantizer

__all__ = ["LocalCodes"]


class LocalCodes(nn.Module):
    """Codes of a :class:`~motiontok.models.local_quantizer.LocalQuantizer` as vectors.

    A code's vector is what it adds to the principal components of its window, scaled so
    that at each position vectors have a mean square length of 1. All of it follows from the
    tokenizer, so it is not saved with a prior.

    Args:
        quantizer: fitted.

    Attributes:
        cells: ``(vocab, components)``, vectors of the first code.
        base: ``(vocab,)``, local basis of each cell.
        rows: ``(bases, coordinates, components)``, what a unit of a coordinate adds.
        words: ``(vocab, coordinates)``, codewords in units of their deviation; code n >= 1
            has columns ``ends[n - 1]`` to ``ends[n]``.
        ends: ``(codes,)``, from 0 up.
    """

    cells: Tensor
    base: Tensor
    rows: Tensor
    words: Tensor
    ends: Tensor

    @torch.no_grad()
    def __init__(self, quantizer: LocalQuantizer) -> None:
        super().__init__()
        self._keep("base", quantizer.base.clone())
        self._keep("ends", quantizer.ends.clone())
        centroids = quantizer.centroids
        self._keep("cells", centroids / centroids.square().sum(dim=1).mean().sqrt())
        deviation = quantizer.codewords.std(dim=0).clamp_min(1e-6)
        self._keep("words", quantizer.codewords / deviation)
        lengths = quantizer.spread * deviation
        for low, high in self._slices():
            # Rows of a basis are orthonormal, so squares of lengths add up.
            length = lengths[:, low:high].square().sum(dim=1).mean().sqrt().clamp_min(1e-6)
            lengths[:, low:high] /= length
        self._keep("rows", quantizer.local * lengths[..., None])

    def _keep(self, name: str, buffer: Tensor) -> None:
        self.register_buffer(name, buffer, persistent=False)

    def _slices(self) -> list[tuple[int, int]]:
        """Columns of each code but the first."""
        return list(pairwise(self.ends.tolist()))

    def vectors(self, codes: Tensor) -> Tensor:
        """Vectors ``(windows, codes, components)`` of whole windows ``(windows, codes)``."""
        tokens = torch.arange(1, codes.shape[1], device=codes.device)
        owner = tokens.repeat_interleave(self.ends.diff())
        said = self.words.gather(0, codes[:, owner])
        parts = said[..., None] * self.rows[self.base[codes[:, 0]]]
        out = parts.new_zeros(*codes.shape, parts.shape[-1]).index_add_(1, owner, parts)
        out[:, 0] = self.cells[codes[:, 0]]
        return out

    def scores(self, directions: Tensor, cells: Tensor) -> Tensor:
        """How far each code goes in a direction, ``(windows, codes, vocab)``.

        Args:
            directions: ``(windows, codes, components)``, one for each position.
            cells: ``(windows,)`` the first codes.
        """
        rows = self.rows[self.base[cells]]
        out = [directions[:, 0] @ self.cells.T]
        for n, (low, high) in enumerate(self._slices(), start=1):
            along = (rows[:, low:high] @ directions[:, n, :, None])[..., 0]
            out.append(along @ self.words[:, low:high].T)
        return torch.stack(out, dim=1)

    def vector(self, position: int, codes: Tensor, cells: Tensor) -> Tensor:
        """Vectors ``(rows, components)`` of codes ``(rows,)`` at a position."""
        if position == 0:
            return self.cells[codes]
        low, high = self._slices()[position - 1]
        said = self.words[codes, low:high]
        return (said[:, None] @ self.rows[self.base[cells], low:high])[:, 0]

    def score(self, position: int, directions: Tensor, cells: Tensor) -> Tensor:
        """:meth:`scores` at one position, ``(rows, vocab)`` of ``(rows, components)``."""
        if position == 0:
            return directions @ self.cells.T
        low, high = self._slices()[position - 1]
        along = (self.rows[self.base[cells], low:high] @ directions[..., None])[..., 0]
        return along @ self.words[:, low:high].T
