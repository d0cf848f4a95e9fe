"""Limits of joints: margins that are kept free, and the nearest path that is slow enough.

Joints' values are kept within their limits by the solvers, which clip their steps
(:mod:`motiontok.robots.solver.levenberg_marquardt`); the cost of entering a margin, or of
going too fast, is that of :mod:`motiontok.robots.limits.smoothness`.
"""

from __future__ import annotations

import numpy as np

from bvh.rotations import Array

__all__ = ["limit_margins", "limit_speed"]

_UNLIMITED = 100.0  # rad or m: a joint of larger range turns freely


def limit_margins(lower: Array, upper: Array, share: float) -> Array:
    """A share of each joint's range ``(joints,)``; 0 for joints without limits."""
    span = upper - lower
    return np.where(span < _UNLIMITED, share * span, 0.0)


def limit_speed(joints: Array, steps: Array) -> Array:
    """The nearest paths ``(frames, joints)`` that change by at most ``steps (joints,)`` a frame.

    It is the mean of the largest such path below ``joints`` and the smallest above. Of all paths
    within the speed it has the least maximal distance (McShane 1934), and it stays within the range
    of ``joints``.
    """
    if (np.abs(np.diff(joints, axis=0)) <= steps).all():
        return joints
    low, high = joints.copy(), joints.copy()
    for order in (range(1, len(joints)), range(len(joints) - 2, -1, -1)):
        side = 1 if order.step < 0 else -1
        for frame in order:
            np.minimum(low[frame], low[frame + side] + steps, out=low[frame])
            np.maximum(high[frame], high[frame + side] - steps, out=high[frame])
    out: Array = 0.5 * (low + high)
    return out
