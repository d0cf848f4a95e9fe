"""Fitting of linear codecs: principal components, allocation of bits, k-means."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["allocate", "k_means", "nearest", "principal_components"]


def principal_components(
    centred: Tensor, wanted: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Variances and orthonormal rows of the leading components, by randomised range finding.

    Halko, Martinsson and Tropp 2011, algorithm 4.4 with two power iterations: exact
    enough here and far cheaper than a dense decomposition of 6,000 columns.
    """
    oversampled = min(wanted + 32, *centred.shape)
    probe = torch.randn(
        centred.shape[1], oversampled, generator=generator, device=centred.device
    ).to(centred)
    span = torch.linalg.qr(centred @ probe)[0]
    for _ in range(2):
        span = torch.linalg.qr(centred.T @ span)[0]
        span = torch.linalg.qr(centred @ span)[0]
    _, s, rows = torch.linalg.svd(span.T @ centred, full_matrices=False)
    return (s**2 / len(centred))[:wanted], rows[:wanted]


def allocate(variance: Tensor, groups: int, bits: float, size: int) -> list[tuple[int, int]]:
    """Contiguous ranges of components that each need ``bits`` at the common distortion."""
    total = groups * bits
    # On the CPU: a few numbers, read one by one.
    logs = 0.5 * torch.log2(variance.double().cpu().clamp_min(1e-12))
    # Reverse water-filling: the largest count of components whose common level lies
    # below the smallest of their variances.
    counts = torch.arange(1, len(logs) + 1)
    level = (torch.cumsum(logs, 0) - total) / counts
    used = int((logs > level).nonzero().max()) + 1
    rate = (logs[:used] - level[used - 1]).tolist()
    edges, low, spent = [], 0, 0.0
    for n in range(groups):
        high = low
        target = (n + 1) * bits
        while (
            high < used
            and high - low < size
            and (high == low or spent + 0.5 * rate[high] <= target)
        ):
            spent += rate[high]
            high += 1
        edges.append((low, high))
        low = high
    return edges


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
