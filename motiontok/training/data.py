"""The loop's interface to data of any kind, and the measure of held-out data."""

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
        """Changes with the data: a run continues only with its own data."""
        ...

    def __len__(self) -> int:
        """Number of observations to train on."""
        ...

    def batch(self, size: int, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """``size`` observations ``(size, *shape)`` drawn at random, or only ``rows`` of them.

        The draws, and the next batch, do not depend on ``rows``.
        """
        ...

    def once(self, generator: torch.Generator) -> Callable[[int], Tensor]:
        """A function of a count that gives so many random observations, each of them once.

        At the end it gives fewer, and then none.
        """
        ...

    def seek(self, drawn: int) -> None:
        """Continue after ``drawn`` observations, if the generator does not decide the order."""
        ...

    def metrics(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Errors of reconstructions ``y`` of ``x (observations, *shape)``.

        They include ``mse``, which decides the best step of a run, and ``psnr``. The keys are
        always the same.
        """
        ...


class Drawing:
    """Observations for fitting: none twice before all were given, and no more than memory holds."""

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
        method: to evaluate; left in evaluation mode.
        data: with the held-out observations, of which at most ``limit``, evenly spread, are used.
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
