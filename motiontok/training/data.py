"""What the loop asks of data, whatever is in it, and the measure of held-out data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from motiontok.methods import DiscreteAutoencoder

__all__ = ["Drawing", "TrainingSet", "evaluate"]

_BYTES = 2**30  # of what is drawn at a time


class TrainingSet(Protocol):
    """Observations ``(*shape)`` to train on, and held-out ones."""

    @property
    def validation(self) -> Tensor:
        """Held-out observations ``(observations, *shape)``, enumerated."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes with the data: a run goes on only with what it began with."""
        ...

    def __len__(self) -> int:
        """Number of observations to train on."""
        ...

    def batch(self, size: int, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """``size`` observations ``(size, *shape)`` drawn at random, or only ``rows`` of them.

        Whatever ``rows`` are, the same observations are drawn, and the next batch is the same.
        """
        ...

    def once(self, generator: torch.Generator) -> Callable[[int], Tensor]:
        """A function of a count that gives so many random observations, each of them once.

        Where they end it gives fewer, and then none.
        """
        ...

    def seek(self, drawn: int) -> None:
        """Go on after ``drawn`` observations, if the order is not the generator's."""
        ...

    def metrics(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Errors of reconstructions ``y`` of ``x (observations, *shape)``.

        Among them are ``mse``, by which the best step of a run is told, and ``psnr``; the
        keys are always the same.
        """
        ...


class Drawing:
    """Observations to fit on: none twice before all were given, nor more than memory holds."""

    def __init__(self, data: TrainingSet, generator: torch.Generator) -> None:
        self._data, self._generator = data, generator
        self._fitting = max(_BYTES // data.validation[:1].nbytes, 1)
        self._give = data.once(generator)

    def __call__(self, count: int) -> Tensor:
        """So many observations ``(n, *shape)``, or as many as memory or the data has."""
        count = min(count, self._fitting)
        found = self._give(count)
        if not len(found):
            self._give = self._data.once(self._generator)
            found = self._give(count)
        return found


@torch.no_grad()
def evaluate(
    method: DiscreteAutoencoder, data: TrainingSet, *, limit: int, batch: int = 128
) -> dict[str, float]:
    """Greedy reconstruction of held-out data.

    Args:
        method: to judge; left in evaluation mode.
        data: whose held-out observations to use: at most ``limit`` of them, evenly spread.
        limit: see there.
        batch: observations at a time.

    Returns:
        The data's own metrics, and ``code_usage``: the share of the vocabulary that
        occurs, mean over token positions.
    """
    method.eval()
    x = data.validation
    if len(x) > limit:
        x = x[torch.linspace(0, len(x) - 1, limit).long()]
    parts, found = [], []
    for part in x.split(batch):
        found.append(method.encode(part))
        parts.append(method.decode(found[-1]))
    codes = torch.cat(found)
    counts = torch.zeros(codes.shape[1], method.config.model.vocab_size, device=codes.device)
    counts.scatter_add_(1, codes.T, torch.ones_like(codes.T, dtype=counts.dtype))
    usage = float((counts > 0).float().mean())
    return {**data.metrics(x, torch.cat(parts)), "code_usage": usage}
