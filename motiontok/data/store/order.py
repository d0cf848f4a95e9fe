"""Random orders of very many items, with only a few numbers in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Permutation", "Turns"]

Integers = NDArray[np.int64]

_ROUNDS = 6


class Permutation:
    """A random order of the numbers 0 to ``count - 1``, each once.

    A Feistel network over the next power of four, walked until it is within the numbers
    (Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains", section 3: cycle walking).
    Shuffling 50 million numbers takes 400 MB.

    Args:
        count: of the numbers.
        seed: of the order.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count = count
        self._half = max((max(count - 1, 1).bit_length() + 1) // 2, 1)
        self._keys = np.random.default_rng(seed).integers(0, 2**64, _ROUNDS, dtype=np.uint64)

    def __getitem__(self, places: Integers) -> Integers:
        """Numbers at places ``(n,)``, each from 0 to ``count - 1``."""
        out = self._through(places.astype(np.uint64))
        while (outside := out >= self._count).any():
            out[outside] = self._through(out[outside])
        return out.astype(np.int64)

    def _through(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        half, mask = np.uint64(self._half), np.uint64((1 << self._half) - 1)
        left, right = values >> half, values & mask
        for key in self._keys:
            left, right = right, left ^ (_mixed(right ^ key) & mask)
        return (left << half) | right


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each number scattered over 64 bits (splitmix64's finaliser)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Turns:
    """Turns of several sets, in which every prefix has each set's share.

    The n-th of a set is due when about n / share were given in all
    (:meth:`motiontok.data.windows.WindowSet.once` sorts them all).

    Args:
        counts: number of items of each set.
        shares: of the sets.
    """

    def __init__(self, counts: Sequence[int], shares: Sequence[float]) -> None:
        self._counts = counts
        self._shares = shares
        self._given = [0] * len(counts)

    def take(self, count: int) -> list[tuple[int, Integers, Integers]]:
        """The next ``count`` turns; fewer where all sets end.

        Returns:
            (set, its next numbers counted from 0, their places among the turns) of each set.
        """
        sets, numbers, due = [], [], []
        for of, (there, share, given) in enumerate(
            zip(self._counts, self._shares, self._given, strict=True)
        ):
            ahead = np.arange(given, min(given + count, there))
            sets.append(np.full(len(ahead), of))
            numbers.append(ahead)
            due.append((ahead + 0.5) / share if len(ahead) else np.empty(0))
        order = np.concatenate(due).argsort(kind="stable")[:count]
        whose, which = np.concatenate(sets)[order], np.concatenate(numbers)[order]
        out = []
        for of in range(len(self._counts)):
            places = np.flatnonzero(whose == of)
            self._given[of] += len(places)
            out.append((of, which[places].astype(np.int64), places.astype(np.int64)))
        return out
