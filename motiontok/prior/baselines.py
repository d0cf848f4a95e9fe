"""Baselines of a prior: uniform, unigram and n-gram models of codes, on held-out windows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bvh.rotations import Array
from motiontok.prior.tokens import Tokens, TokenSet, blocks

__all__ = ["baseline_nats"]

_WEIGHTS = np.logspace(-2, 5, 29)


def baseline_nats(tokens: Tokens, held_out: TokenSet, *, vocab_size: int) -> dict[str, float]:
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
    test = held_out.codes.astype(np.int64)
    positions = test.shape[1]
    column = np.arange(positions)
    rows = np.flatnonzero(_follows(held_out.sequence))
    within = [_Counts(test[:, n - 1] * vocab_size + test[:, n]) for n in range(1, positions)]
    across = [_Counts(test[rows - 1, n] * vocab_size + test[rows, n]) for n in column]
    counts = np.zeros((positions, vocab_size), np.int64)
    firsts = np.zeros_like(counts)
    before_codes, before_sequence = np.empty((0, positions), np.int64), np.empty(0, np.int32)
    for part in blocks(tokens):
        train = part.codes.astype(np.int64)
        counts += _occurrences(train, vocab_size)
        for n, of in enumerate(within, start=1):
            of.add(train[:, n - 1] * vocab_size + train[:, n])
        # With the last window of the block before.
        train = np.concatenate([before_codes, train])
        sequence = np.concatenate([before_sequence, part.sequence])
        follows = np.flatnonzero(_follows(sequence))
        firsts += _occurrences(train[follows - 1], vocab_size)
        for n, of in enumerate(across):
            of.add(train[follows - 1, n] * vocab_size + train[follows, n])
        before_codes, before_sequence = train[-1:], sequence[-1:]

    seen = counts[column, test]
    options = [
        np.log((seen + a) / (len(tokens) + a * vocab_size)).mean() for a in (0.01, 0.1, 0.3, 1, 3)
    ]
    weight = (0.01, 0.1, 0.3, 1, 3)[int(np.argmax(options))]
    unigram = (counts + weight) / (len(tokens) + weight * vocab_size)
    base = unigram[column, test]
    before, joint = np.zeros_like(base), np.zeros_like(base)
    across_before, across_joint = np.zeros_like(base), np.zeros_like(base)
    for n in range(positions):
        if n:
            joint[:, n] = within[n - 1].of(test[:, n - 1] * vocab_size + test[:, n])
            before[:, n] = counts[n - 1, test[:, n - 1]]
        across_joint[rows, n] = across[n].of(test[rows - 1, n] * vocab_size + test[rows, n])
        across_before[rows, n] = firsts[n, test[rows - 1, n]]
    return {
        "nats_uniform": math.log(vocab_size),
        "nats_unigram": float(-np.log(base).mean()),
        "nats_bigram": _best(base, joint, before),
        "nats_across": _best(base, across_joint, across_before),
    }


def _follows(sequence: NDArray[Any]) -> NDArray[np.bool_]:
    """Which windows have a predecessor in their sequence."""
    return np.concatenate([np.zeros(len(sequence[:1]), bool), sequence[1:] == sequence[:-1]])


def _occurrences(codes: NDArray[np.int64], vocab_size: int) -> NDArray[np.int64]:
    """Number of each value's occurrences at each position, ``(positions, vocab)``."""
    positions = codes.shape[1]
    flat = (codes + np.arange(positions) * vocab_size).ravel()
    return np.bincount(flat, minlength=positions * vocab_size).reshape(positions, vocab_size)


class _Counts:
    """Numbers of occurrences of some keys among many."""

    def __init__(self, wanted: NDArray[np.int64]) -> None:
        self._keys = np.unique(wanted)
        self._counts = np.zeros(len(self._keys), np.int64)

    def add(self, keys: NDArray[np.int64]) -> None:
        if not len(self._keys):
            return
        at = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        found = at[self._keys[at] == keys]
        self._counts += np.bincount(found, minlength=len(self._keys))

    def of(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Counts of wanted keys."""
        return self._counts[np.searchsorted(self._keys, wanted)]


def _best(base: Array, joint: Array, before: Array) -> float:
    """Mean nats with the best pseudo-count."""
    return min(float(-np.log((joint + a * base) / (before + a)).mean()) for a in _WEIGHTS)
