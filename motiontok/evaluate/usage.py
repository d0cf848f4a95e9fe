"""Share of the vocabulary that codes use, at each position and in all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bvh.rotations import Array

__all__ = ["CodeUsage"]


@dataclass(frozen=True, eq=False)
class CodeUsage:
    """Usage of a vocabulary by the codes of many windows.

    Perplexity is exp of the entropy of the codes' frequencies: the number of codes that,
    used equally often, would be as varied. Neither figure can exceed the number of
    windows, so both need several times as many windows as the vocabulary has values.

    Attributes:
        counts: ``(positions, vocab)`` occurrences.
    """

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, codes: NDArray[np.int64], vocab_size: int) -> CodeUsage:
        """Usage by codes ``(windows, positions)``."""
        flat = codes + vocab_size * np.arange(codes.shape[1])
        counts = np.bincount(flat.ravel(), minlength=codes.shape[1] * vocab_size)
        return cls(counts.reshape(codes.shape[1], vocab_size))

    @property
    def used(self) -> Array:
        """Share of the vocabulary that occurs, ``(positions,)``."""
        return (self.counts > 0).mean(axis=1)

    @property
    def perplexity(self) -> Array:
        """Perplexity at each position, ``(positions,)``."""
        return _perplexity(self.counts)

    @property
    def pooled_used(self) -> float:
        """Share of the vocabulary that occurs at any position."""
        return float((self.counts.sum(axis=0) > 0).mean())

    @property
    def pooled_perplexity(self) -> float:
        """Perplexity of all positions' codes together."""
        return float(_perplexity(self.counts.sum(axis=0)))

    def summary(self) -> dict[str, float]:
        """The figures for a table: means over positions, and pooled."""
        return {
            "code_usage": float(self.used.mean()),
            "perplexity": float(self.perplexity.mean()),
            "code_usage_pooled": self.pooled_used,
            "perplexity_pooled": self.pooled_perplexity,
        }


def _perplexity(counts: NDArray[np.int64]) -> Array:
    share = counts / counts.sum(axis=-1, keepdims=True)
    surprise = -np.log(np.where(share > 0, share, 1.0))
    return np.exp((share * surprise).sum(axis=-1))
