"""Residual quantisation of a window's latents, each token in the components with most residual.

The first token names the size of the whole window, the others name shapes in units of it
(gain-shape quantisation: Sabin and Gray, IEEE Trans. ASSP 32, 1984). Each of the others names a
codeword of a few principal components, which is subtracted from the residual. So a token may
correct earlier ones (residual quantisation: Juang and Gray, ICASSP 1982).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motiontok.models.k_means import k_means, nearest
from motiontok.models.sampling import cheapest

__all__ = ["ResidualQuantizer"]

_COMPONENTS = 512  # of a window that are coded at all
_WORTHLESS = 1e-4  # of the largest eigenvalue of the metric: what counts for less is taken so
_FLAT = 1e-3  # of the largest deviation: less is no unit, as few windows have in most components
_SUBSPACE = 16  # components that a codeword has
_ROUNDS = 10
_MEMORY = 0.999  # of a step, in running means of codewords
_DEAD = 0.01  # of the share that a codeword has on average: below it, it is dead
# The leading components say how large a window is; the others are mostly noise.
_LEADING = 0.6
# Sizes reach from below all but a thousandth of training windows to three times the largest.
_LEAST, _BELOW, _BEYOND = 0.001, 0.8, 3.0


class ResidualQuantizer(nn.Module):
    """Windows' latents ``(batch, size)`` to codes, coarse to fine, and back.

    The parts that a search or a policy needs are methods of their own: :meth:`split` gives the
    first token and the shape, :meth:`distances` how every codeword of a token would change the
    residual.

    Args:
        size: numbers of a window.
        codes: tokens, the size's included; at least 2.
        vocab_size: values of a token.

    Attributes:
        levels: ``(vocab,)`` sizes that the first token names, rising.
        components: ``(codes - 1, subspace)`` the components of each later token's codewords.
        words: ``(codes - 1, vocab, subspace)`` its codewords.
        share: ``(codes - 1, vocab)`` running share of windows that a codeword is chosen for.
    """

    mean: Tensor
    analysis: Tensor
    synthesis: Tensor
    deviation: Tensor
    levels: Tensor
    components: Tensor
    words: Tensor
    share: Tensor

    def __init__(self, *, size: int, codes: int, vocab_size: int) -> None:
        super().__init__()
        self.codes, self.vocab_size = codes, vocab_size
        kept = min(_COMPONENTS, size)
        subspace = min(_SUBSPACE, kept)
        self._leading = max(round(_LEADING * kept), 1)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("analysis", torch.eye(size, kept))
        self.register_buffer("synthesis", torch.eye(kept, size))
        self.register_buffer("deviation", torch.ones(kept))
        self.register_buffer("levels", torch.ones(vocab_size))
        empty = torch.zeros(codes - 1, subspace, dtype=torch.long)
        self.register_buffer("components", empty)
        self.register_buffer("words", torch.zeros(codes - 1, vocab_size, subspace))
        self.register_buffer("share", torch.zeros(codes - 1, vocab_size))

    @torch.no_grad()
    def fit(self, latents: Tensor, metric: Tensor, generator: torch.Generator) -> None:
        """Fit components, sizes and codewords, token after token.

        Args:
            latents: ``(windows, size)``.
            metric: ``(size, size)``, positive semidefinite: the squared distance of latents, as a
                quadratic form. Distances between components use it.
            generator: source of randomness.
        """
        self.mean.copy_(latents.mean(dim=0))
        centred = latents - self.mean
        worth, axes = torch.linalg.eigh(metric.double())
        worth = worth.clamp_min(_WORTHLESS * worth[-1]).sqrt()
        root, inverse = (axes * worth) @ axes.T, (axes / worth) @ axes.T
        covariance = (centred.T @ centred / len(centred)).double()
        variance, rows = torch.linalg.eigh(root @ covariance @ root)
        rows = rows.flip(1)[:, : len(self.deviation)]
        self.analysis.copy_(root @ rows)
        self.synthesis.copy_(rows.T @ inverse)
        deviation = variance.flip(0)[: len(self.deviation)].clamp_min(1e-12).sqrt()
        self.deviation.copy_(deviation.clamp_min(_FLAT * deviation[0]))
        y = centred @ self.analysis
        sizes = self._size(y).sort().values
        low = _BELOW * sizes[int(_LEAST * len(sizes))]
        high = _BEYOND * sizes[-1]
        steps = torch.linspace(0.0, 1.0, self.vocab_size, device=y.device)
        self.levels.copy_(low * (high / low) ** steps)
        shape = y / self.levels[self._level(y)][:, None]
        left = torch.cat([shape, self._crossed(shape, generator)])
        self.words.zero_()
        for token in range(self.codes - 1):
            worst = left.square().mean(dim=0).topk(self.components.shape[1]).indices
            self.components[token] = worst.sort().values
            part = left[:, self.components[token]]
            found = k_means(part, self.vocab_size, generator, iterations=_ROUNDS)
            # Of fewer windows than values the others say nothing, until training takes them.
            self.words[token, : len(found)] = found
            own = nearest(part, self.words[token])
            left[:, self.components[token]] = part - self.words[token, own]
            counts = torch.bincount(own, minlength=self.vocab_size)
            self.share[token] = counts.to(left) / len(left)

    def project(self, latents: Tensor) -> Tensor:
        """Components ``(batch, components)`` of latents ``(batch, size)``."""
        return (latents - self.mean) @ self.analysis

    def latents(self, y: Tensor) -> Tensor:
        """Latents ``(batch, size)`` of components ``(batch, components)``."""
        return y @ self.synthesis + self.mean

    def split(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """First token ``(batch,)`` and shape ``(batch, size)``, components in units of the size."""
        return self._split(self.project(latents))

    def distances(self, left: Tensor, token: int) -> Tensor:
        """Change of the squared distance by each codeword, ``(..., vocab)``.

        Args:
            left: ``(..., size)``, residual of the shape after the tokens before.
            token: from 1; 0 is that of sizes.
        """
        return _changes(left[..., self.components[token - 1]], self.words[token - 1])

    def subtract(self, left: Tensor, token: int, codes: Tensor) -> Tensor:
        """Residual ``(..., size)`` after ``token`` with ``codes (...)``."""
        out = left.clone()
        out[..., self.components[token - 1]] -= self.words[token - 1, codes]
        return out

    @torch.no_grad()
    def encode(self, latents: Tensor, *, beam: int = 1) -> Tensor:
        """Codes ``(batch, codes)``.

        Args:
            latents: ``(batch, size)``.
            beam: candidates kept from token to token; with 1 each token takes the nearest codeword.
                More are never worse, since that sequence is kept if it is better.
        """
        level, shape = self.split(latents)
        codes, left = self._greedy(shape)
        if beam > 1:
            others, rest = self._beam(shape, beam)
            better = rest.square().sum(dim=1) < left.square().sum(dim=1)
            codes = torch.where(better[:, None], others, codes)
        return torch.cat([level[:, None], codes], dim=1)

    @torch.no_grad()
    def quantize(self, y: Tensor, *, first: int | None = None) -> tuple[Tensor, Tensor]:
        """Greedy codes ``(batch, n)`` of components, and the components that they stand for.

        Args:
            y: ``(batch, components)``.
            first: number of codes; all by default.
        """
        level, shape = self._split(y)
        codes, left = self._greedy(shape, first)
        return torch.cat([level[:, None], codes], dim=1), (shape - left) * self.levels[level, None]

    def decode(self, codes: Tensor, *, kept: Tensor | None = None) -> Tensor:
        """Latents ``(batch, size)`` of codes ``(batch, n)``, the first n of each window.

        Args:
            codes: at most as many as a window has.
            kept: ``(batch,)``, number of codes that count; all by default.
        """
        shape = self.shapes(codes, kept=kept)
        return self.latents(shape * self.levels[codes[:, 0], None])

    def shapes(self, codes: Tensor, *, kept: Tensor | None = None) -> Tensor:
        """Shapes ``(batch, components)`` of codes, in units of the size; see :meth:`decode`."""
        # Not len, which makes a number of what a program takes as it comes.
        count, tokens = codes.shape[0], codes.shape[1] - 1
        words = self.codewords(codes)
        if kept is not None:
            each = torch.arange(tokens, device=codes.device)
            words = words * (each < kept[:, None] - 1)[..., None]
        places = self.components[:tokens].flatten().expand(count, -1)
        shape = self.mean.new_zeros(count, len(self.deviation))
        return shape.scatter_add(1, places, words.flatten(1))

    def codewords(self, codes: Tensor) -> Tensor:
        """Codewords ``(batch, n - 1, subspace)`` of the tokens after the first.

        Args:
            codes: ``(batch, n)``.
        """
        each = torch.arange(codes.shape[1] - 1, device=codes.device)
        return self.words[each, codes[:, 1:]]

    def seen(self, shape: Tensor, codes: Tensor) -> Tensor:
        """Residual that each token coded, in its components, ``(batch, codes - 1, subspace)``.

        Args:
            shape: ``(batch, components)``.
            codes: ``(batch, codes)`` of the tokens.
        """
        words = self.codewords(codes)
        said = torch.zeros_like(shape)
        parts = []
        for token, places in enumerate(self.components):
            parts.append(shape[:, places] - said[:, places])
            said = said.index_add(1, places, words[:, token])
        return torch.stack(parts, dim=1)

    def word_squares(self) -> Tensor:
        """Mean squares of codewords by how often each is chosen, ``(codes - 1, subspace)``."""
        share = self.share / self.share.sum(dim=1, keepdim=True).clamp_min(1e-12)
        return torch.einsum("tv,tvs->ts", share, self.words.square())

    def shape_squares(self) -> Tensor:
        """The same, summed in each component: about the mean square of shapes."""
        squares = torch.zeros_like(self.deviation)
        return squares.index_add(0, self.components.flatten(), self.word_squares().flatten())

    @torch.no_grad()
    def update(self, latents: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """Move codewords to the running means of the residuals that they code; revive dead ones.

        Args:
            latents: ``(batch, size)`` of a step.
            codes: ``(batch, codes)`` of the latents: their sizes, and any tokens after them.
            generator: chooses replacements of dead codewords.
        """
        _, shape = self.split(latents)
        crossed = self._crossed(shape, generator)
        shape = torch.cat([shape, crossed])
        codes = torch.cat([codes, F.pad(self._greedy(crossed)[0], (1, 0))])
        part = self.seen(shape, codes).transpose(0, 1)
        tokens, count, subspace = part.shape
        each = torch.arange(tokens, device=codes.device)[:, None]
        own = (each * self.vocab_size + codes[:, 1:].T).flatten()
        flat = self.words.new_zeros(tokens * self.vocab_size, subspace)
        sums = flat.index_add(0, own, part.flatten(0, 1)).view_as(self.words) / count
        # Not bincount, which waits for a device.
        ones = torch.ones_like(own, dtype=flat.dtype)
        shares = flat.new_zeros(len(flat)).index_add(0, own, ones).view_as(self.share) / count
        mass = self.words * self.share[..., None] * _MEMORY + (1.0 - _MEMORY) * sums
        self.share.mul_(_MEMORY).add_(shares, alpha=1.0 - _MEMORY)
        seen = self.share[..., None] > 1e-12
        moved = mass / self.share[..., None].clamp_min(1e-12)
        moved = torch.where(seen, moved, self.words)
        dead = self.share < _DEAD / self.vocab_size
        pick = torch.randint(count, dead.shape, generator=generator, device=codes.device)
        self.words.copy_(torch.where(dead[..., None], part[each, pick], moved))
        self.share.masked_fill_(dead, 1.0 / self.vocab_size)

    def _crossed(self, shape: Tensor, generator: torch.Generator) -> Tensor:
        """Shapes ``(batch, components)`` whose components are those of two, and of size 1.

        Windows to learn from are few, those to come are not among them: what goes with what is
        learned by heart, unless half of the shapes are of windows that were never seen.
        """
        other = shape[torch.randperm(len(shape), generator=generator, device=shape.device)]
        taken = torch.rand(shape.shape, generator=generator, device=shape.device) < 0.5
        out = torch.where(taken, other, shape)
        return out / self._size(out)[:, None]

    def _size(self, y: Tensor) -> Tensor:
        """Root mean square of the leading components, each in units of its deviation."""
        leading = y[:, : self._leading] / self.deviation[: self._leading]
        return leading.square().mean(dim=1).sqrt().clamp_min(1e-6)

    def _level(self, y: Tensor) -> Tensor:
        """The nearest of the levels by ratio, ``(batch,)``."""
        logs = self.levels.log()
        borders = 0.5 * (logs[1:] + logs[:-1])
        # Not searchsorted, which ONNX has not.
        return (borders < self._size(y).log()[:, None]).sum(dim=1)

    def _split(self, y: Tensor) -> tuple[Tensor, Tensor]:
        level = self._level(y)
        return level, y / self.levels[level, None]

    def _greedy(self, shape: Tensor, first: int | None = None) -> tuple[Tensor, Tensor]:
        codes, left = [], shape.clone()
        count = (first or self.codes) - 1
        tables = self.components[:count], self.words[:count]
        squares = tables[1].square().sum(dim=-1)
        for places, words, square in zip(*tables, squares, strict=True):
            part = left.index_select(1, places)
            codes.append(_least(torch.addmm(square, part, words.T, alpha=-2.0)))
            left[:, places] = part - words.index_select(0, codes[-1])
        if not codes:
            return torch.zeros(len(shape), 0, dtype=torch.long, device=shape.device), left
        return torch.stack(codes, dim=1), left

    def _beam(self, shape: Tensor, beam: int) -> tuple[Tensor, Tensor]:
        """Codes and residual of the best of ``beam`` candidates at the last token."""
        left = shape[:, None]
        codes = torch.zeros(len(shape), 1, 0, dtype=torch.long, device=shape.device)
        rows = torch.arange(len(shape), device=shape.device)[:, None]
        for token in range(1, self.codes):
            total = left.square().sum(dim=-1, keepdim=True) + self.distances(left, token)
            _, old, new = cheapest(total, beam)
            left = self.subtract(left[rows, old], token, new)
            codes = torch.cat([codes[rows, old], new[..., None]], dim=-1)
        return codes[:, 0], left[:, 0]


def _changes(part: Tensor, words: Tensor) -> Tensor:
    """Change of the squared norm of ``part (..., n)`` less each of ``words (vocab, n)``."""
    return words.square().sum(dim=-1) - 2.0 * part @ words.T


def _least(x: Tensor) -> Tensor:
    """Place of the least number of each row of ``(rows, n)``."""
    # NumPy has no bfloat16, which autocast makes.
    known = x.device.type == "cpu" and x.dtype != torch.bfloat16
    if not known or torch.compiler.is_exporting():
        return x.argmin(dim=1)
    # Six to ten times as fast.
    return torch.from_numpy(x.numpy().argmin(axis=1))
