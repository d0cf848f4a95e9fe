"""Annealing of the entropy weight."""

from __future__ import annotations

__all__ = ["exponential_decay"]


def exponential_decay(step: int, *, start: float, end: float, steps: int) -> float:
    """``start * (end / start) ** (step / steps)``, held at ``end`` afterwards.

    Source: the paper's ``auto_exp_decay``; continuous, no staircase.
    """
    if step <= 0:
        return start
    if step >= steps:
        return end
    return float(start * (end / start) ** (step / steps))
