"""Baselines of a prior: uniform, unigram and n-gram models of codes, on held-out windows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bvh.rotations import Array
from motiontok.prior.tokens import TokenSet

__all__ = ["baseline_nats"]

_WEIGHTS = np.logspace(-2, 5, 29)


def baseline_nats(tokens: TokenSet, held_out: TokenSet, *, vocab_size: int) -> dict[str, float]:
    """Nats a code of simple models, all position by position.

    The unigram model adds a pseudo-count to each code. The bigram model knows the code
    before in the window, the across model that at the same position of the window
    before; both fall back on the unigram by Dirichlet smoothing,
    p(v | u) = (n_uv + a p(v)) / (n_u + a). Pseudo-counts are those that suit the
    held-out windows best, which favours the baselines.

    Args:
        tokens: to count.
        held_out: to measure on.
        vocab_size: values a code can take.

    Returns:
        ``nats_uniform``, ``nats_unigram``, ``nats_bigram``, ``nats_across``.
    """
    train, test = tokens.codes.astype(np.int64), held_out.codes.astype(np.int64)
    positions = train.shape[1]
    counts = np.stack([np.bincount(train[:, n], minlength=vocab_size) for n in range(positions)])
    column = np.arange(positions)
    seen = counts[column, test]
    options = [
        np.log((seen + a) / (len(train) + a * vocab_size)).mean() for a in (0.01, 0.1, 0.3, 1, 3)
    ]
    weight = (0.01, 0.1, 0.3, 1, 3)[int(np.argmax(options))]
    unigram = (counts + weight) / (len(train) + weight * vocab_size)
    base = unigram[column, test]

    before, joint = np.zeros_like(base), np.zeros_like(base)
    across_before, across_joint = np.zeros_like(base), np.zeros_like(base)
    follows_train = _follows(tokens)
    follows_test = _follows(held_out)
    for n in range(positions):
        if n:
            pair = _pairs(train[:, n - 1], train[:, n], vocab_size)
            joint[:, n] = _lookup(pair, test[:, n - 1] * vocab_size + test[:, n])
            before[:, n] = counts[n - 1, test[:, n - 1]]
        last, now = train[:-1, n][follows_train[1:]], train[1:, n][follows_train[1:]]
        pair = _pairs(last, now, vocab_size)
        single = np.bincount(last, minlength=vocab_size)
        rows = np.flatnonzero(follows_test)
        across_joint[rows, n] = _lookup(pair, test[rows - 1, n] * vocab_size + test[rows, n])
        across_before[rows, n] = single[test[rows - 1, n]]
    return {
        "nats_uniform": math.log(vocab_size),
        "nats_unigram": float(-np.log(base).mean()),
        "nats_bigram": _best(base, joint, before),
        "nats_across": _best(base, across_joint, across_before),
    }


def _follows(tokens: TokenSet) -> NDArray[np.bool_]:
    """Which windows have a predecessor in their sequence."""
    return np.concatenate([[False], tokens.sequence[1:] == tokens.sequence[:-1]])


def _pairs(
    first: NDArray[np.int64], second: NDArray[np.int64], vocab_size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.unique(first * vocab_size + second, return_counts=True)


def _lookup(
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]], keys: NDArray[np.int64]
) -> NDArray[np.int64]:
    known, counts = pairs
    if not len(known):
        return np.zeros_like(keys)
    at = np.searchsorted(known, keys).clip(max=len(known) - 1)
    return np.where(known[at] == keys, counts[at], 0)


def _best(base: Array, joint: Array, before: Array) -> float:
    """Mean nats with the best pseudo-count."""
    return min(float(-np.log((joint + a * base) / (before + a)).mean()) for a in _WEIGHTS)
