"""The codebook of the token of sizes, in units of which the other tokens are.

Windows differ in size as well as in shape: a fall lies several times as far from the mean as a
step, and motion never trained on lies even farther. With codewords for every size there would be
few for each. So one token names the sizes, and the others name shapes in units of them (gain-shape
quantisation: Sabin and Gray, IEEE Trans. ASSP 32, 1984).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["FEWEST_SIZED", "TRIED_SIZES", "GainCodebook", "keep_best"]

FEWEST_SIZED = 8
"""Least tokens of a window with which a token of sizes is worth its bits."""

TRIED_SIZES = 4
"""Number of likeliest sizes to try; the one with the least error is kept."""

_LEVELS = 32
_BANDS = 8
_BEYOND = 2.0  # times as large as the largest of training windows
_SHARE = 0.002  # of training windows that the range of levels leaves out at either end
_LEAST = 1e-6  # mean square, in units of the mean over training windows
_ROUNDS = 12
# A size too large costs every token a little, one too small costs only what it cannot
# reach: what errs least is somewhat below what is likeliest.
_LEAN = 0.8


class GainCodebook(nn.Module):
    """Profiles of sizes, one a value of the token: overall levels times shapes of a profile.

    Tokens after it, coarse to fine, are cut into up to 8 bands. Coordinates have unit variance on
    average; a profile gives their deviation in each band. Levels are spaced evenly in logarithm up
    to twice the largest of training windows, and shapes are clustered. A value is chosen by the
    likelihood of normal and independent coordinates; as a distance between profiles that is Itakura
    and Saito's (Buzo et al., IEEE Trans. ASSP 28, 1980).

    Args:
        tokens: number of tokens with coordinates, in order.
        vocab_size: profiles.

    Attributes:
        deviations: ``(vocab, bands)``, root mean square of a coordinate.
        counts: ``(bands,)``, coordinates.
        band: ``(tokens,)``, of each token.
    """

    deviations: Tensor
    counts: Tensor
    band: Tensor

    def __init__(self, *, tokens: int, vocab_size: int) -> None:
        super().__init__()
        bands = min(_BANDS, tokens)
        self.register_buffer("deviations", torch.ones(vocab_size, bands))
        self.register_buffer("counts", torch.ones(bands))
        band = torch.arange(tokens) * bands // tokens
        self.register_buffer("band", band, persistent=False)

    def sizes(self, codes: Tensor) -> Tensor:
        """Deviation of each token's coordinates ``(batch, tokens)`` by codes ``(batch,)``."""
        return self.deviations[codes][:, self.band]

    def scores(self, energy: Tensor) -> Tensor:
        """Log-densities ``(batch, vocab)`` up to a constant, biased towards small sizes.

        Args:
            energy: ``(batch, tokens)``, sums of squares of each token's coordinates.
        """
        return self._scores(_LEAN * self._by_band(energy), self.deviations.square())

    @torch.no_grad()
    def fit(self, energy: Tensor, counts: Tensor, generator: torch.Generator) -> None:
        """Fit to training windows.

        Args:
            energy: ``(windows, tokens)``, sums of squares of each token's coordinates.
            counts: ``(tokens,)``, of coordinates.
            generator: source of randomness.
        """
        self.counts.copy_(self._by_band(counts[None].to(energy))[0])
        total = self.counts.sum().clamp_min(1.0)
        bands = self._by_band(energy) / self.counts.clamp_min(1.0)
        level = (bands @ self.counts / total).clamp_min(_LEAST)
        vocab_size = len(self.deviations)
        levels = min(_LEVELS, vocab_size)
        shapes = self._cluster(bands / level[:, None], -(-vocab_size // levels), generator)
        ordered = level.sort().values.log()
        ends = [ordered[int(q * (len(ordered) - 1))] for q in (_SHARE, 1.0 - _SHARE)]
        steps = torch.linspace(0.0, 1.0, levels).to(ordered)
        reach = ends[1] + 2.0 * torch.tensor(_BEYOND).log().to(ordered)
        spaced = (ends[0] + steps * (reach - ends[0])).exp()
        squares = (shapes[:, None] * spaced[:, None]).flatten(0, 1)[:vocab_size]
        self.deviations.copy_(squares.sqrt())

    def _cluster(self, profiles: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """``(count, bands)``, of mean 1 over coordinates: Lloyd's algorithm with the likelihood."""

        def drawn(size: int) -> Tensor:
            at = torch.randint(len(profiles), (size,), generator=generator, device=profiles.device)
            return profiles[at].clamp_min(_LEAST)

        found = drawn(count)
        for _ in range(_ROUNDS):
            own = self._scores(profiles * self.counts, found).argmax(dim=1)
            mass = torch.bincount(own, minlength=count).to(profiles)
            sums = torch.zeros_like(found).index_add_(0, own, profiles)
            seen = mass > 0
            found[seen] = (sums[seen] / mass[seen, None]).clamp_min(_LEAST)
            found[~seen] = drawn(int((~seen).sum()))
        mean = (found @ self.counts / self.counts.sum().clamp_min(1.0)).clamp_min(_LEAST)
        return found / mean[:, None]

    def _by_band(self, energy: Tensor) -> Tensor:
        sums = energy.new_zeros(energy.shape[0], len(self.counts))
        return sums.index_add(1, self.band, energy)

    def _scores(self, energy: Tensor, squares: Tensor) -> Tensor:
        usual = -0.5 * squares.log() @ self.counts
        return torch.addmm(usual, energy, (-0.5 / squares).T)


def keep_best(found: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Per row the least-error codes, of errors ``(batch, n)`` and n codes ``(batch, codes)``."""
    if len(found) == 1:
        return found[0][1]
    errors = torch.stack([error.square().sum(dim=1) for error, _ in found])
    codes = torch.stack([codes for _, codes in found])
    return codes[errors.argmin(dim=0), torch.arange(codes.shape[1], device=codes.device)]
