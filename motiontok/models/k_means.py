"""Codewords of a codebook by k-means, and the nearest one to each point."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["k_means", "nearest"]


def k_means(points: Tensor, count: int, generator: torch.Generator, *, iterations: int) -> Tensor:
    """Codewords ``(<= count, size)`` by Lloyd's algorithm on fresh subsets.

    Eight points a codeword and iteration are enough for a start that training refines. Empty
    clusters are re-seeded.
    """
    pick = torch.randperm(len(points), generator=generator, device=points.device)
    words = points[pick[:count]].clone()
    for _ in range(iterations):
        pick = torch.randperm(len(points), generator=generator, device=points.device)
        subset = points[pick[: 8 * count]]
        own = nearest(subset, words)
        mass = torch.bincount(own, minlength=len(words)).to(points)
        sums = torch.zeros_like(words).index_add_(0, own, subset)
        filled = mass > 0
        words[filled] = sums[filled] / mass[filled, None]
        empty = int((~filled).sum())
        if empty:
            again = torch.randint(len(points), (empty,), generator=generator, device=points.device)
            words[~filled] = points[again]
    return words


def nearest(points: Tensor, words: Tensor) -> Tensor:
    """Index ``(points,)`` of the nearest of ``words (count, size)`` to each of ``points``."""
    # Chunked: points times words need not fit in memory at once.
    half = 0.5 * (words**2).sum(dim=1)
    return torch.cat([torch.addmm(-half, p, words.T).argmax(dim=1) for p in points.split(8192)])
