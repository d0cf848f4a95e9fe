"""Principal components, and how many of them a token of some bits is worth."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["allocate", "principal_components"]


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
