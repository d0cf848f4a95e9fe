"""Annealing of the entropy weight and of the learning rate."""

from __future__ import annotations

import math

__all__ = ["cosine", "exponential_decay"]


def exponential_decay(progress: float, *, start: float, end: float) -> float:
    """``start * (end / start) ** progress``, continuous, held at the ends.

    Source: the paper's ``auto_exp_decay``, with ``progress = step / steps``.
    """
    return float(start * (end / start) ** min(max(progress, 0.0), 1.0))


def cosine(progress: float, *, start: float, end: float) -> float:
    """Half a cosine from ``start`` to ``end``, held at the ends."""
    return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
