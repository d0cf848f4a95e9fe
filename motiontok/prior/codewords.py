"""Common parts of codes that are read as vectors, for all tokenizers."""

from __future__ import annotations

from torch import Tensor

__all__ = ["whitening", "word_scores"]

_FLOOR = 0.01  # share of the mean variance; components with less are not scaled up further


def whitening(variance: Tensor) -> Tensor:
    """Factors that make components of such variance ``(components,)`` comparable."""
    return (variance + _FLOOR * variance.mean()).clamp_min(1e-12).rsqrt()


def word_scores(along: Tensor, unit: Tensor, words: Tensor, precision: Tensor) -> Tensor:
    """Log-densities ``(rows, vocab)`` of codewords up to a constant.

    Args:
        along: ``(rows, coordinates)``, the expected point.
        unit: ``(rows, coordinates)``, or ``(rows, 1)`` for all: distance of a coordinate of 1.
        words: ``(vocab, coordinates)``.
        precision: ``(rows,)``, one over the variance.
    """
    square = 0.5 * unit.expand_as(along).square() @ words.square().T
    return precision[:, None] * ((along * unit) @ words.T - square)
