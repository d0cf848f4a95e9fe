"""Locally optimised product quantisation: a codebook of cells, a basis for each kind of cell.

Windows of motion lie near a curved surface of few dimensions. One basis for all of them
spends its bits on directions in which a given window cannot go; a basis for the
neighbourhood does not. So the first token names a cell, a codeword for the whole window,
and the others quantise what is left in the principal components of the cell's
neighbourhood, coarse to fine. This is locally optimised product quantisation
(Kalantidis and Avrithis, CVPR 2014) of local principal components (Kambhatla and Leen,
Neural Computation 9, 1997). It is fitted, not trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motiontok.models.codebooks import allocate, k_means, nearest, principal_components
from motiontok.progress import Tell, silent

__all__ = ["LocalQuantizer"]

_ENOUGH = 16_384  # windows for the common basis
_WINDOWS_PER_CELL = 100
_WINDOWS_PER_BASE = 1200  # twice and more the components whose covariance is estimated
_DRAW = 8192  # windows in memory at a time
# Codewords beyond what training windows do: they cost hardly anything on windows like
# those, and without them a faster run than any seen cannot be said at all.
_FAR_SHARE = 0.2
_FAR_REACH = 12.0
# A little of what windows do in general goes into each neighbourhood's covariance: one of
# few windows knows few directions, and a new clip will go in others too.
_SHRINK = 0.003
_PRIOR_WINDOWS = 2.0
# The fewer there are, the closer in time they lie as well, and the less each of them adds.
_PRIOR_SQUARE = 5000.0


class LocalQuantizer(nn.Module):
    """Cells, and a product quantiser in the principal components around each of them.

    A window is ``mean + (centroid_k + sum_n B_n c_n) basis``: k is the first token, c_n
    the codeword of token n, and B the local basis that cell k shares with its neighbours.
    Codewords are shared by all cells: each cell scales its local components to the
    profile of deviations that all have on average.

    Args:
        shape: of an observation, a window ``(frames, columns)`` or a small image.
        codes: tokens, the cell's included; at least 2.
        vocab_size: values of a token, hence also the number of cells.
        components: leading principal components that are kept of a window.
        bases: local bases.
        size: most local components a token may code.
        far: whether a fifth of the codewords lie beyond what training windows do.

    Attributes:
        mean: ``(values,)``, values being the product of ``shape``.
        basis: ``(components, values)``, orthonormal rows.
        centroids: ``(vocab, components)``.
        base: ``(vocab,)``, local basis of each cell.
        local: ``(bases, coordinates, components)``, orthonormal rows.
        spread: ``(bases, coordinates)``, what a profile's unit is worth in components.
        codewords: ``(vocab, coordinates)``; token n >= 1 has columns
            ``ends[n - 1]`` to ``ends[n]``.
        ends: ``(codes,)``, from 0 up.
        owner: ``(coordinates,)``, the token of each.
        cell_variance: mean square of a component within its cell.
        noise_variance: mean square of what quantising leaves of a coded coordinate.
    """

    mean: Tensor
    basis: Tensor
    centroids: Tensor
    base: Tensor
    local: Tensor
    spread: Tensor
    codewords: Tensor
    ends: Tensor
    owner: Tensor
    cell_variance: Tensor
    noise_variance: Tensor

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        codes: int,
        vocab_size: int,
        components: int,
        bases: int,
        size: int = 16,
        far: bool = True,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.codes, self.vocab_size, self.size, self.far = codes, vocab_size, size, far
        numbers = math.prod(shape)
        kept = min(components, numbers)
        bases = min(bases, vocab_size)
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("basis", torch.zeros(kept, numbers))
        self.register_buffer("centroids", torch.zeros(vocab_size, kept))
        self.register_buffer("base", torch.zeros(vocab_size, dtype=torch.long))
        self.register_buffer("local", torch.zeros(bases, 0, kept))
        self.register_buffer("spread", torch.zeros(bases, 0))
        self.register_buffer("codewords", torch.zeros(vocab_size, 0))
        self.register_buffer("ends", torch.zeros(codes, dtype=torch.long))
        self.register_buffer("cell_variance", torch.ones(()))
        self.register_buffer("noise_variance", torch.ones(()))
        # Of every coordinate its token, and the ends again: slicing must not wait for a device.
        self.register_buffer("owner", torch.zeros(0, dtype=torch.long), persistent=False)
        self._ends = [0] * codes

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        # How many coordinates are coded is known only after fitting.
        if prefix + "spread" in state:
            ends, coordinates = state[prefix + "ends"].tolist(), state[prefix + "spread"].shape[-1]
            if ends[-1] != coordinates:
                raise RuntimeError(f"tokens end at coordinate {ends[-1]} of {coordinates}")
            self._resize(ends)
        super()._load_from_state_dict(state, prefix, *rest)

    def _resize(self, ends: list[int]) -> None:
        coordinates = ends[-1]
        self._ends = ends
        self.ends.copy_(torch.tensor(ends))
        owner = torch.arange(1, self.codes).repeat_interleave(torch.tensor(ends).diff())
        self.owner = owner.to(self.ends.device)
        self.local = self.local.new_zeros(len(self.local), coordinates, self.local.shape[2])
        self.spread = self.spread.new_zeros(len(self.spread), coordinates)
        self.codewords = self.codewords.new_zeros(self.vocab_size, coordinates)

    def components(self, x: Tensor) -> Tensor:
        """Components ``(batch, components)`` of windows ``(batch, *shape)``."""
        return (x.flatten(1) - self.mean) @ self.basis.T

    def synthesize(self, components: Tensor) -> Tensor:
        """Windows ``(batch, *shape)`` of ``(batch, components)``."""
        return (components @ self.basis + self.mean).unflatten(1, self.shape)

    def coordinates(self, y: Tensor, cells: Tensor) -> Tensor:
        """Local coordinates ``(batch, coordinates)`` of components in cells ``(batch,)``."""
        base = self.base[cells]
        return self._by_base(self.local.mT, y - self.centroids[cells], base) / self.spread[base]

    def reconstruct(self, cells: Tensor, coordinates: Tensor) -> Tensor:
        """Components ``(batch, components)`` of local coordinates in cells ``(batch,)``."""
        base = self.base[cells]
        offsets = self._by_base(self.local, coordinates * self.spread[base], base)
        return self.centroids[cells] + offsets

    @staticmethod
    def _by_base(matrices: Tensor, x: Tensor, base: Tensor) -> Tensor:
        """Each row of ``x (batch, n)`` times the one of ``matrices (bases, n, m)`` it names."""
        if len(x) == 1:  # without a loop over data, so that one window can be exported
            return torch.bmm(x[:, None], matrices[base])[:, 0]
        # Sorted: a copy of its basis for every window would take longer than the products.
        order = base.argsort(stable=True)
        counts = torch.bincount(base).tolist()
        used = [b for b, count in enumerate(counts) if count]
        rows = x[order].split([counts[b] for b in used])
        parts = [some @ matrices[b] for some, b in zip(rows, used, strict=True)]
        sorted_rows = torch.cat(parts)
        return torch.empty_like(sorted_rows).index_copy_(0, order, sorted_rows)

    def cell_scores(self, y: Tensor) -> Tensor:
        """``(batch, vocab)``: the nearer a cell, the higher; log-densities but for a constant."""
        square = 0.5 * (self.centroids**2).sum(dim=1)
        return torch.addmm(-square, y, self.centroids.T) / self.cell_variance

    def word_scores(self, coordinates: Tensor, cells: Tensor, token: int) -> Tensor:
        """``(batch, vocab)`` of a token >= 1: log-densities of the window but for a constant.

        Distances are those in the window: the spread of a coordinate is its weight.
        """
        here = slice(self._ends[token - 1], self._ends[token])
        words = self.codewords[:, here]
        weights = self.spread[self.base[cells], here] ** 2 / self.noise_variance
        return (weights * coordinates[:, here]) @ words.T - 0.5 * weights @ (words**2).T

    def words(self, codes: Tensor) -> Tensor:
        """Local coordinates ``(batch, coordinates)`` that tokens ``(batch, codes)`` stand for.

        Coordinates of tokens that are left out at the end are 0, their mean.
        """
        given = self._ends[codes.shape[1] - 1]
        said = self.codewords[:, :given].gather(0, codes[:, self.owner[:given]])
        return F.pad(said, (0, self.codewords.shape[1] - given))

    def quantize(self, y: Tensor, cells: Tensor) -> Tensor:
        """Codes ``(batch, codes)`` of components in given cells: the nearest codewords."""
        z = self.coordinates(y, cells)
        words = [self.word_scores(z, cells, n).argmax(dim=1) for n in range(1, self.codes)]
        return torch.stack([cells, *words], dim=1)

    def encode(self, x: Tensor, *, cells: int = 1) -> Tensor:
        """Codes ``(batch, codes)``: the best of coding ``x`` in each of its nearest cells.

        Args:
            x: ``(batch, *shape)``.
            cells: how many to try.
        """
        y = self.components(x)
        nearby = self.cell_scores(y).topk(min(cells, self.vocab_size), dim=1).indices
        tried = [self.quantize(y, cell) for cell in nearby.unbind(dim=1)]
        if len(tried) == 1:
            return tried[0]
        codes = torch.stack(tried, dim=1)
        errors = [((self.decode_components(c) - y) ** 2).sum(dim=1) for c in tried]
        best = torch.stack(errors, dim=1).argmin(dim=1)
        return codes[torch.arange(len(x), device=x.device), best]

    def decode_components(self, codes: Tensor) -> Tensor:
        """Components ``(batch, components)`` of codes ``(batch, codes)``."""
        return self.reconstruct(codes[:, 0], self.words(codes))

    def decode(self, codes: Tensor) -> Tensor:
        """Windows ``(batch, *shape)`` of codes ``(batch, codes)``."""
        return self.synthesize(self.decode_components(codes))

    @torch.no_grad()
    def fit(
        self,
        draw: Callable[[int], Tensor],
        generator: torch.Generator,
        tell: Tell = silent,
    ) -> None:
        """Fit to training windows.

        Args:
            draw: gives windows ``(<= count, *shape)``: none twice until all were given,
                fewer where they end.
            generator: source of randomness.
            tell: hears how far it is, about in proportion to time, and what it does.
        """
        tell(0.0, "common basis")
        flat = draw(_ENOUGH).flatten(1)
        self.mean.copy_(flat.mean(dim=0))
        wanted = min(len(self.basis), *flat.shape)
        variance, basis = principal_components(flat - self.mean, wanted, generator)
        self.basis.zero_()
        self.basis[: len(basis)] = basis
        tell(0.25, "windows")
        y = self._components_of(flat, draw)
        scale = torch.zeros(len(self.basis)).to(y)
        scale[: len(variance)] = variance

        tell(0.35, "cells")
        cells = self._fit_cells(y, generator)
        rest = y - self.centroids[cells]
        self.cell_variance.copy_(rest.square().mean().clamp_min(1e-12))
        self._fit_bases(rest, self.base[cells], scale, lambda part: tell(0.5 + 0.2 * part, "bases"))
        self._fit_words(y, cells, generator, lambda part: tell(0.7 + 0.3 * part, "codewords"))

    def _components_of(self, flat: Tensor, draw: Callable[[int], Tensor]) -> Tensor:
        """Components of enough windows to know every cell's neighbourhood, ``flat`` among them."""
        parts, wanted = [self.components(flat)], _ENOUGH
        if len(flat) == _ENOUGH:
            wanted = max(_WINDOWS_PER_CELL * self.vocab_size, _WINDOWS_PER_BASE * len(self.local))
        for first in range(_ENOUGH, wanted, _DRAW):
            asked = min(_DRAW, wanted - first)
            part = draw(asked)
            parts.append(self.components(part))
            if len(part) < asked:
                break  # there are no more than these
        return torch.cat(parts)

    def _fit_cells(self, y: Tensor, generator: torch.Generator) -> Tensor:
        """Cells and what basis each has; returns the cell of each window."""
        found = k_means(y, self.vocab_size, generator, iterations=12)
        self.centroids.zero_()
        self.centroids[: len(found)] = found
        cells = nearest(y, found)
        # Means of all windows, not of the last subset that k-means looked at.
        count = torch.bincount(cells, minlength=self.vocab_size).to(y)
        sums = torch.zeros_like(self.centroids).index_add_(0, cells, y)
        seen = count > 0
        self.centroids[seen] = sums[seen] / count[seen, None]
        kinds = k_means(found, len(self.local), generator, iterations=30)
        self.base.copy_(nearest(self.centroids, kinds))
        return cells

    def _fit_bases(
        self, rest: Tensor, base: Tensor, variance: Tensor, tell: Callable[[float], object]
    ) -> None:
        """Principal components of each neighbourhood, and how many of them are coded."""
        kept = rest.shape[1]
        rows = rest.new_zeros(len(self.local), kept, kept)
        deviation = rest.new_zeros(len(self.local), kept)
        share = torch.bincount(base, minlength=len(self.local)).to(rest) / len(rest)
        for b in range(len(self.local)):
            tell(b / len(self.local))
            mine = rest[base == b]
            prior = max(_PRIOR_WINDOWS, _PRIOR_SQUARE / max(len(mine), 1))
            general = (_SHRINK * len(mine) + prior) * variance
            covariance = (mine.T @ mine + torch.diag(general)) / (len(mine) + prior)
            values, vectors = torch.linalg.eigh(covariance)
            rows[b] = vectors.flip(1).T
            deviation[b] = values.flip(0).clamp_min(1e-12).sqrt()
        profile = torch.exp((share[:, None] * deviation.log()).sum(dim=0))
        bits = math.log2(self.vocab_size)
        edges = allocate(profile**2, self.codes - 1, bits, self.size)
        coded = edges[-1][1]
        self._resize([0, *(high for _, high in edges)])
        self.local.copy_(rows[:, :coded])
        self.spread.copy_(deviation[:, :coded] / profile[:coded])

    def _fit_words(
        self,
        y: Tensor,
        cells: Tensor,
        generator: torch.Generator,
        tell: Callable[[float], object],
    ) -> None:
        z = self.coordinates(y, cells)
        self.codewords.zero_()
        for token, (low, high) in enumerate(pairwise(self._ends)):
            tell(token / (self.codes - 1))
            if high > low:
                points = z[:, low:high]
                far = int(_FAR_SHARE * self.vocab_size) if self.far else 0
                words = _with_far_words(points, self.vocab_size, far, generator)
                self.codewords[: len(words), low:high] = words
        some = slice(0, 8192)
        self.noise_variance.fill_(1.0)
        left = z[some] - self.words(self.quantize(y[some], cells[some]))
        square = (left * self.spread[self.base[cells[some]]]).square()
        self.noise_variance.copy_(square.mean().clamp_min(1e-12))


def _with_far_words(points: Tensor, count: int, far: int, generator: torch.Generator) -> Tensor:
    """Codewords ``(<= count, size)`` for points, ``far`` of them for some several times as far."""
    words = k_means(points, count - far, generator, iterations=10)
    pick = torch.randint(len(points), (16 * count,), generator=generator, device=points.device)
    reach = torch.rand(16 * count, 1, generator=generator, device=points.device)
    beyond = points[pick] * (1.0 + (_FAR_REACH - 1.0) * reach)
    edge = points.norm(dim=1).sort().values[int(0.98 * (len(points) - 1))]
    outside = beyond[beyond.norm(dim=1) > edge]
    if not far or not len(outside):
        return words
    return torch.cat([words, k_means(outside, far, generator, iterations=10)])
