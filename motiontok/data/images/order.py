"""Shuffled epochs with random access."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ShuffledOrder"]


class ShuffledOrder:
    """A different permutation of ``count`` items every epoch, as one endless sequence.

    The whole sequence follows from the seed, so a place in it is one number: a run continues in the
    middle of an epoch from the number of items drawn.

    Args:
        count: items.
        seed: of all permutations.
    """

    def __init__(self, count: int, *, seed: int) -> None:
        self.count = count
        self.seed = seed
        self._epoch = -1
        self._permutation: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def __getitem__(self, place: int) -> int:
        """Item at a place of the sequence, counted from 0."""
        epoch, within = divmod(place, self.count)
        if epoch != self._epoch:
            self._permutation = np.random.default_rng((self.seed, epoch)).permutation(self.count)
            self._epoch = epoch
        return int(self._permutation[within])
