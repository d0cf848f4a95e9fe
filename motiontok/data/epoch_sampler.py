"""Every observation of a set once, in batches."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

__all__ = ["EpochSampler"]


class EpochSampler:
    """Gives observations ``(<= count, *shape)``, none twice; at the end fewer, then none.

    Args:
        order: ``(observations,)``, their places, in the order of the draws.
        gather: observations of places.
    """

    def __init__(self, order: Tensor, gather: Callable[[Tensor], Tensor]) -> None:
        self._order, self._gather = order, gather

    def __call__(self, count: int) -> Tensor:
        """The next ``count`` observations, fewer at the end, none after it."""
        part, self._order = self._order[:count], self._order[count:]
        return self._gather(part)
