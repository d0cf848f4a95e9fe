"""Refine what is still rough after all frames have been refined together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import median_filter

from bvh.rotations import Array
from motiontok.robots.contacts import runs
from motiontok.robots.kinematics import Kinematics
from motiontok.robots.smoothing import Smoothness, movement_cost, smooth
from motiontok.robots.tasks import Task

__all__ = ["retry", "settle", "windows"]

_MARGIN = 1  # frames refined around a rough one
_ROOM = 3  # frames on each side of one that is too fast
_ROUNDS = 5  # looks at who still moves
_STEPS = Smoothness(iterations=3, damping=0.03)
_BAD = 2.5  # of the usual cost around it: a frame that costs more is solved again
_LEAST = 150.0  # cost below which it is not worth it
_USUAL = 61  # frames whose median is the usual cost
_AGAIN = Smoothness(iterations=6, damping=0.03)


def settle(
    kinematics: Kinematics,
    tasks: Sequence[Task],
    q: Array,
    cost: Array,
    restless: Array,
    fps: float,
    speed_limits: Array,
) -> tuple[Array, Array]:
    """Refine further around frames that still move or that are too fast.

    Args are those of :func:`~motiontok.robots.smoothing.smooth`, and what it returns.

    Returns:
        Configurations ``(frames, nq)`` and the tasks' costs ``(frames,)``.
    """
    q, cost, restless = q.copy(), cost.copy(), restless.copy()
    for _ in range(_ROUNDS):
        fast = (np.abs(np.diff(q[:, 7:], axis=0)) * fps > 1.05 * speed_limits).any(axis=1)
        # To slow a joint down takes room before and behind.
        restless |= _widened(np.append(fast, False), _ROOM)
        frames, frozen = windows(restless)
        if not len(frames):
            break
        q[frames], cost[frames], moved = smooth(
            kinematics,
            [task[frames] for task in tasks],
            q[frames],
            fps,
            speed_limits,
            _STEPS,
            frozen=frozen,
        )
        restless[:] = False
        restless[frames] = moved & ~frozen
    return q, cost


def retry(
    kinematics: Kinematics,
    tasks: Sequence[Task],
    q: Array,
    cost: Array,
    fps: float,
    speed_limits: Array,
) -> Array:
    """Solve stretches of unusual cost again from the joints before and those after them.

    Where a limb must change over from one way to reach its target to another, the
    refinement keeps the moment at which it was first found to, however late or early;
    from the other side's joints it finds a better one. The cheaper solution stays.

    Args are those of :func:`~motiontok.robots.smoothing.smooth` and the tasks' costs.

    Returns:
        Configurations ``(frames, nq)``.
    """
    bad = cost > np.maximum(_BAD * median_filter(cost, _USUAL, mode="nearest"), _LEAST)
    if not bad.any():
        return q
    frames, frozen = windows(bad)

    def price(q: Array, cost: Array) -> Array:
        return cost + movement_cost(q[:, 7:], fps, speed_limits)

    own = [task[frames] for task in tasks]
    best = q.copy()
    least = price(q[frames], cost[frames])
    for side in (-1, 0):
        start = q.copy()
        for a, b in runs(bad):
            start[a:b, 7:] = q[np.clip(a - 1 if side else b, 0, len(q) - 1), 7:]
        found, found_cost, _ = smooth(
            kinematics, own, start[frames], fps, speed_limits, _AGAIN, frozen=frozen
        )
        total = price(found, found_cost)
        for a, b in runs(~frozen):
            around = slice(max(a - 2, 0), b + 2)
            if total[around].sum() < least[around].sum():
                best[frames[a:b]] = found[a:b]
                least[around] = total[around]
    return best


def windows(rough: Array) -> tuple[Array, Array]:
    """Frames to solve again around rough ones ``(frames,)``.

    Windows are laid end to end. Two still frames at both ends of each keep the
    movement terms of its own frames right and those across the seams constant.

    Returns:
        Indices ``(n,)`` of the frames, and which of them ``(n,)`` must stay.
    """
    moving = _widened(rough, _MARGIN)
    around = _widened(moving, 2)
    frames = np.flatnonzero(around)
    return frames, ~moving[frames]


def _widened(mask: Array, by: int) -> Array:
    wide = np.convolve(mask, np.ones(2 * by + 1))[by : by + len(mask)]
    return np.asarray(wide > 0)
