"""Locally optimised product quantisation: a codebook of cells, a basis for each kind of cell.

Windows of motion lie near a curved surface of few dimensions. One basis for all windows spends bits
on directions in which a given window cannot go; a basis per neighbourhood does not. So the first
token names a cell, a codeword for the whole window. The second names the sizes of the residual, and
the others quantise the residual's shape in the principal components of the cell's neighbourhood,
coarse to fine. This is locally optimised product quantisation (Kalantidis and Avrithis, CVPR 2014)
of local principal components (Kambhatla and Leen, Neural Computation 9, 1997). It is fitted, not
trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motiontok.models.gain_codebook import TRIED_SIZES, GainCodebook, keep_best
from motiontok.models.k_means import k_means, nearest
from motiontok.models.principal_components import allocate, principal_components
from motiontok.progress import ProgressCallback, silent

__all__ = ["LopqQuantizer"]

_ENOUGH = 16_384  # windows for the common basis
_WINDOWS_PER_CELL = 100
_WINDOWS_PER_BASE = 1200  # twice and more the components whose covariance is estimated
_DRAW = 8192  # windows in memory at a time
# A little of what windows do in general goes into each neighbourhood's covariance: one of
# few windows knows few directions, and a new clip will go in others too.
_SHRINK = 0.1
_PRIOR_WINDOWS = 2.0
# The fewer there are, the closer in time they lie as well, and the less each of them adds.
_PRIOR_SQUARE = 5000.0


class LopqQuantizer(nn.Module):
    """Cells, and a product quantiser in the principal components around each of them.

    A window is ``mean + (centroid_k + sum_n s_n B_n c_n) basis``: k is the first token, c_n
    the codeword of token n, B the local basis that cell k shares with its neighbours, its rows
    scaled to unit coordinates, and s_n the size of c_n by the second token. All cells share the
    codewords.

    Args:
        shape: of an observation, a window ``(frames, columns)`` or a small image.
        codes: tokens, including the cell's and that of sizes; at least one more than these.
        vocab_size: values of a token, hence also the number of cells.
        components: number of leading principal components kept of a window.
        bases: local bases.
        size: most local components a token may code.
        sized: whether the second token names sizes; otherwise it is like the others.

    Attributes:
        mean: ``(values,)``, values being the product of ``shape``.
        basis: ``(components, values)``, orthonormal rows.
        centroids: ``(vocab, components)``.
        base: ``(vocab,)``, local basis of each cell.
        local: ``(bases, coordinates, components)``, orthonormal rows.
        spread: ``(bases, coordinates)``, deviation of a coordinate, in units of which it is.
        sizes: codebook of the second token, if ``sized``.
        codewords: ``(vocab, coordinates)``; token n >= 1 has columns
            ``ends[n - 1]`` to ``ends[n]``, that of sizes none.
        ends: ``(codes,)``, from 0 up.
        owner: ``(coordinates,)``, the token of each.
        cell_variance: mean square of a component within its cell.
        noise_variance: mean square quantisation error of a coded component, where sizes are 1.
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
        sized: bool = True,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.codes, self.vocab_size, self.size = codes, vocab_size, size
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
        self.sizes = GainCodebook(tokens=codes - 2, vocab_size=vocab_size) if sized else None
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

    @property
    def head(self) -> int:
        """Number of tokens that the others depend on: the cell's and perhaps that of sizes."""
        return 1 if self.sizes is None else 2

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
        """Each row of ``x (batch, n)`` times its basis among ``matrices (bases, n, m)``."""
        if torch.compiler.is_exporting() or len(x) == 1:  # a program has no loop over data
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
        """``(batch, vocab)``: the nearer a cell, the higher; log-densities up to a constant."""
        square = 0.5 * (self.centroids**2).sum(dim=1)
        return torch.addmm(-square, y, self.centroids.T) / self.cell_variance

    def word_scores(self, coordinates: Tensor, codes: Tensor, token: int) -> Tensor:
        """``(batch, vocab)`` of a token >= 1: log-densities of the window up to a constant.

        Distances are those in the window, in units of the size: the spread of a coordinate is
        its weight.

        Args:
            coordinates: ``(batch, coordinates)``.
            codes: ``(batch, tokens)``, read as far as the head's tokens before ``token``.
            token: the token to score.
        """
        if token < self.head:
            assert self.sizes is not None
            return self.sizes.scores(self._energy(coordinates))
        here = slice(self._ends[token - 1], self._ends[token])
        words, shapes = self.codewords[:, here], coordinates[:, here]
        if self.sizes is not None:
            # One size for all of a token's coordinates.
            shapes = shapes / self.sizes.sizes(codes[:, 1])[:, token - 2, None]
        weights = self.spread[self.base[codes[:, 0]], here] ** 2 / self.noise_variance
        return (weights * shapes) @ words.T - 0.5 * weights @ (words**2).T

    def words(self, codes: Tensor) -> Tensor:
        """Local coordinates ``(batch, coordinates)`` of tokens ``(batch, codes)``.

        Coordinates of omitted last tokens are 0, their mean.
        """
        given = self._ends[codes.shape[1] - 1]
        said = self.codewords[:, :given].gather(0, codes[:, self.owner[:given]])
        if given:
            said = said * self._units(codes)[:, :given]
        return F.pad(said, (0, self.codewords.shape[1] - given))

    def quantize(self, y: Tensor, cells: Tensor, *, tried: int = TRIED_SIZES) -> Tensor:
        """Codes ``(batch, codes)`` of components in given cells: the nearest codewords.

        Args:
            y: ``(batch, components)``.
            cells: ``(batch,)``.
            tried: number of likeliest sizes to try; the one with the least error is kept.
        """
        z = self.coordinates(y, cells)
        if self.sizes is None:
            return self._nearest_words(z, cells[:, None])
        likeliest = self.word_scores(z, cells[:, None], 1).topk(min(tried, self.vocab_size)).indices
        heads = [torch.stack([cells, size], dim=1) for size in likeliest.unbind(dim=1)]
        found = [self._nearest_words(z, head) for head in heads]
        weights = self.spread[self.base[cells]]
        return keep_best([(weights * (self.words(codes) - z), codes) for codes in found])

    def _nearest_words(self, z: Tensor, head: Tensor) -> Tensor:
        tokens = range(self.head, self.codes)
        words = [self.word_scores(z, head, n).argmax(dim=1) for n in tokens]
        return torch.stack([*head.unbind(dim=1), *words], dim=1)

    def _energy(self, z: Tensor) -> Tensor:
        """Sums of squares ``(batch, codes - 2)`` of each token's coordinates."""
        return z.new_zeros(z.shape[0], self.codes - 2).index_add(1, self.owner - 2, z.square())

    def _units(self, codes: Tensor) -> Tensor:
        """Sizes of coordinates ``(batch, coordinates)``, 1 where no token names them."""
        if self.sizes is None:
            return self.codewords.new_ones(codes.shape[0], len(self.owner))
        return self.sizes.sizes(codes[:, 1])[:, self.owner - 2]

    def encode(self, x: Tensor, *, cells: int = 1) -> Tensor:
        """Codes ``(batch, codes)``: the best of coding ``x`` in each of its nearest cells.

        Args:
            x: ``(batch, *shape)``.
            cells: how many to try.
        """
        y = self.components(x)
        nearby = self.cell_scores(y).topk(min(cells, self.vocab_size), dim=1).indices
        found = [self.quantize(y, cell) for cell in nearby.unbind(dim=1)]
        return keep_best([(self.decode_components(codes) - y, codes) for codes in found])

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
        on_progress: ProgressCallback = silent,
    ) -> None:
        """Fit to training windows.

        Args:
            draw: gives windows ``(<= count, *shape)``: none twice until all were given, fewer at
                the end.
            generator: source of randomness.
            on_progress: called with the progress, about in proportion to time, and the present
                activity.
        """
        on_progress(0.0, "common basis")
        flat = draw(_ENOUGH).flatten(1)
        self.mean.copy_(flat.mean(dim=0))
        wanted = min(len(self.basis), *flat.shape)
        variance, basis = principal_components(flat - self.mean, wanted, generator)
        self.basis.zero_()
        self.basis[: len(basis)] = basis
        on_progress(0.25, "windows")
        y = self._components_of(flat, draw)
        scale = torch.zeros(len(self.basis)).to(y)
        scale[: len(variance)] = variance

        on_progress(0.35, "cells")
        cells = self._fit_cells(y, generator)
        rest = y - self.centroids[cells]
        self.cell_variance.copy_(rest.square().mean().clamp_min(1e-12))
        profile = self._fit_bases(
            rest, self.base[cells], scale, lambda part: on_progress(0.5 + 0.2 * part, "bases")
        )
        self._fit_words(
            y, cells, profile, generator, lambda part: on_progress(0.7 + 0.3 * part, "codewords")
        )

    def _components_of(self, flat: Tensor, draw: Callable[[int], Tensor]) -> Tensor:
        """Components of enough windows for every cell's neighbourhood, ``flat`` among them."""
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
        """Fit cells and their bases; returns the cell of each window."""
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
        self, rest: Tensor, base: Tensor, variance: Tensor, on_progress: Callable[[float], object]
    ) -> Tensor:
        """Fit the principal components of each neighbourhood, as many as are coded.

        Returns:
            ``(coordinates,)``, their deviation on average over neighbourhoods.
        """
        kept = rest.shape[1]
        rows = rest.new_zeros(len(self.local), kept, kept)
        deviation = rest.new_zeros(len(self.local), kept)
        share = torch.bincount(base, minlength=len(self.local)).to(rest) / len(rest)
        for b in range(len(self.local)):
            on_progress(b / len(self.local))
            mine = rest[base == b]
            prior = max(_PRIOR_WINDOWS, _PRIOR_SQUARE / max(len(mine), 1))
            general = (_SHRINK * len(mine) + prior) * variance
            covariance = (mine.T @ mine + torch.diag(general)) / (len(mine) + prior)
            values, vectors = torch.linalg.eigh(covariance)
            rows[b] = vectors.flip(1).T
            deviation[b] = values.flip(0).clamp_min(1e-12).sqrt()
        profile = torch.exp((share[:, None] * deviation.log()).sum(dim=0))
        bits = math.log2(self.vocab_size)
        edges = allocate(profile**2, self.codes - self.head, bits, self.size)
        coded = edges[-1][1]
        self._resize([0] * self.head + [high for _, high in edges])
        self.local.copy_(rows[:, :coded])
        self.spread.copy_(deviation[:, :coded])
        return profile[:coded]

    def _fit_words(
        self,
        y: Tensor,
        cells: Tensor,
        profile: Tensor,
        generator: torch.Generator,
        on_progress: Callable[[float], object],
    ) -> None:
        z = self.coordinates(y, cells)
        head = cells[:, None]
        if self.sizes is not None:
            energy = self._energy(z)
            self.sizes.fit(energy, self.ends.diff()[1:], generator)
            head = torch.stack([cells, self.sizes.scores(energy).argmax(dim=1)], dim=1)
        z = z.div_(self._units(head))
        self.codewords.zero_()
        for token, (low, high) in enumerate(pairwise(self._ends)):
            on_progress(token / (self.codes - 1))
            if high > low:
                # In the unit of the window, on average.
                unit = profile[low:high]
                words = k_means(z[:, low:high] * unit, self.vocab_size, generator, iterations=10)
                self.codewords[: len(words), low:high] = words / unit
        some = slice(0, 8192)
        self.noise_variance.fill_(1.0)
        codes = self.quantize(y[some], cells[some], tried=1)
        left = z[some] - self.words(codes) / self._units(codes)
        square = (left * self.spread[self.base[cells[some]]]).square()
        self.noise_variance.copy_(square.mean().clamp_min(1e-12))
