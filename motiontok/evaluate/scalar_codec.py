"""``pca-sq``: principal components, a scalar quantiser and an entropy coder.

The linear transform codec of the classical kind, like the FAST action tokenizer (Pertsch
et al. 2025) with principal components for its cosine transform. Its codes have no fixed length, so
it does not fit the tokenizer's interface of fixed codes per window. It is a yardstick for the
number of bits that a window needs.

Bits are counted, not estimated: a window's length is ceil(-log2 P) + 1, which the
Shannon-Fano-Elias code of the very model reaches for each window by itself, so that
windows stay decodable one by one, as those of a tokenizer are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bvh.rotations import Array

__all__ = ["EntropyModel", "PrincipalComponents", "ScalarCodec"]

_CONTEXTS = 3
_PRIOR_WEIGHT = 8.0
_ROUNDING = 0.4


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Leading principal components of windows.

    Attributes:
        mean: ``(frames * columns,)``.
        rows: ``(components, frames * columns)``, orthonormal, by falling variance.
        shape: (frames, columns).
    """

    mean: Tensor
    rows: Tensor
    shape: tuple[int, int]

    @classmethod
    def fit(cls, windows: Tensor, components: int, *, seed: int = 0) -> PrincipalComponents:
        """Components of ``(windows, frames, columns)``, by a randomised decomposition."""
        flat = windows.flatten(1)
        mean = flat.mean(dim=0)
        wanted = min(components, *flat.shape)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            rows = torch.svd_lowrank(flat - mean, q=min(wanted + 16, *flat.shape), niter=2)[2]
        return cls(mean, rows.T[:wanted], (windows.shape[1], windows.shape[2]))

    def analyse(self, x: Tensor) -> Tensor:
        """Coefficients ``(batch, components)`` of windows."""
        return (x.flatten(1) - self.mean) @ self.rows.T

    def synthesize(self, coefficients: Tensor) -> Tensor:
        """Windows of coefficients."""
        return (coefficients @ self.rows + self.mean).unflatten(1, self.shape)


class EntropyModel:
    """Probabilities of integers at each position, given the sizes of the last two.

    For each position and context: frequencies in training, smoothed toward a two-sided
    geometric distribution of the same mean magnitude, which gives every integer, however
    large, a probability.

    Args:
        symbols: ``(windows, positions)`` integers to fit to.
    """

    def __init__(self, symbols: NDArray[np.int64]) -> None:
        positions = symbols.shape[1]
        self.largest = int(np.abs(symbols).max(initial=0))
        width = 2 * self.largest + 1
        cell = self._cells(symbols)
        index = cell * width + symbols + self.largest
        cells = positions * _CONTEXTS
        self.counts = np.bincount(index.ravel(), minlength=cells * width).reshape(cells, width)
        total = self.counts.sum(axis=1)
        size = np.bincount(cell.ravel(), weights=np.abs(symbols).ravel(), minlength=cells)
        # The position's own mean steadies contexts that are hardly ever met.
        mean = np.repeat(np.abs(symbols).mean(axis=0), _CONTEXTS)
        mean = (size + _PRIOR_WEIGHT * mean) / (total + _PRIOR_WEIGHT)
        # P(k) = (1 - t) / (1 + t) t^|k| has mean magnitude 2t / (1 - t^2).
        mean = np.maximum(mean, 1e-6)
        self.ratio = (np.sqrt(1.0 + mean**2) - 1.0) / mean
        self.total = total

    def bits(self, symbols: NDArray[np.int64]) -> Array:
        """-log2 P of each row ``(windows,)`` of ``(windows, positions)``."""
        cell = self._cells(symbols)
        known = np.abs(symbols) <= self.largest
        column = np.where(known, symbols + self.largest, 0)
        seen = np.where(known, self.counts[cell, column], 0)
        ratio = self.ratio[cell]
        prior = (1.0 - ratio) / (1.0 + ratio) * ratio ** np.abs(symbols)
        # An integer far beyond anything seen costs many bits, not infinitely many.
        prior = np.maximum(prior, 1e-300)
        p = (seen + _PRIOR_WEIGHT * prior) / (self.total[cell] + _PRIOR_WEIGHT)
        return -np.log2(p).sum(axis=1)

    @staticmethod
    def _cells(symbols: NDArray[np.int64]) -> NDArray[np.int64]:
        size = np.abs(symbols)
        before = np.zeros_like(size)
        before[:, 1:] += size[:, :-1]
        before[:, 2:] += size[:, :-2]
        context = np.minimum((before + 1) // 2, _CONTEXTS - 1)
        return np.arange(symbols.shape[1]) * _CONTEXTS + context


class ScalarCodec:
    """One step size for all components, which minimises squared error at a given rate.

    Args:
        components: the transform.
        step: of the quantiser, standardised units.
        coefficients: ``(windows, components)`` to fit entropy model and decoder to.
    """

    def __init__(self, components: PrincipalComponents, step: float, coefficients: Array) -> None:
        self.components = components
        self.step = step
        symbols = _round(coefficients, step)
        # Components that are zero in all of training are never coded.
        self.kept = int(np.flatnonzero(symbols.any(axis=0)).max(initial=-1)) + 1
        symbols = symbols[:, : self.kept]
        self.model = EntropyModel(symbols)
        self._offsets = _centroids(coefficients[:, : self.kept], symbols, step)

    @classmethod
    def at_rate(cls, components: PrincipalComponents, bits: float, windows: Tensor) -> ScalarCodec:
        """The codec whose training windows take about ``bits`` on average."""
        y = components.analyse(windows).double().cpu().numpy()
        few = y[:: max(len(y) // 2000, 1)]
        low, high = math.log(1e-3 * few.std()), math.log(1e3 * few.std())
        while high - low > 0.01:
            middle = 0.5 * (low + high)
            codec = cls(components, math.exp(middle), few)
            rate = codec.bits(_round(few[:, : codec.kept], codec.step)).mean()
            low, high = (middle, high) if rate > bits else (low, middle)
        return cls(components, math.exp(high), y)

    @property
    def numbers(self) -> int:
        """Count of the codec's numbers: components, frequencies, shifts."""
        tensors = (self.components.mean, self.components.rows)
        kept = sum(tensor.numel() for tensor in tensors)
        return kept + self.model.counts.size + self.model.ratio.size + self._offsets.size

    def encode(self, x: Tensor) -> NDArray[np.int64]:
        """Integers ``(batch, kept)`` of windows ``(batch, frames, columns)``."""
        y = self.components.analyse(x).double().cpu().numpy()
        return _round(y[:, : self.kept], self.step)

    def bits(self, symbols: NDArray[np.int64]) -> Array:
        """Length of each window's code, bits, ``(batch,)``."""
        return np.ceil(self.model.bits(symbols)) + 1.0

    def decode(self, symbols: NDArray[np.int64]) -> Tensor:
        """Windows ``(batch, frames, columns)`` of integers."""
        y = np.zeros((len(symbols), len(self.components.rows)))
        size = np.minimum(np.abs(symbols), self._offsets.shape[1] - 1)
        shrink = np.take_along_axis(self._offsets.T, size, axis=0)
        y[:, : self.kept] = symbols * self.step - np.sign(symbols) * shrink
        return self.components.synthesize(torch.from_numpy(y).to(self.components.mean))


def _round(y: Array, step: float) -> NDArray[np.int64]:
    # A little toward zero: small integers are cheap, and the decoder knows.
    return (np.sign(y) * np.floor(np.abs(y) / step + _ROUNDING)).astype(np.int64)


def _centroids(y: Array, symbols: NDArray[np.int64], step: float) -> Array:
    """Distance inside ``k * step`` of the mean of values rounded to +-k.

    Returns:
        ``(positions, magnitudes)``; magnitudes from 3 on are not shifted.
    """
    offsets = np.zeros((symbols.shape[1], 4))
    short = np.abs(symbols) * step - np.abs(y)
    for magnitude in (1, 2):
        hit = np.abs(symbols) == magnitude
        offsets[:, magnitude] = (short * hit).sum(axis=0) / (hit.sum(axis=0) + _PRIOR_WEIGHT)
    return offsets
