"""Refine a whole trajectory at once: tracking, speed and acceleration of every frame together.

Gauss-Newton on all frames as one problem. Neighbouring frames are coupled joint by
joint only, so the normal matrix is banded (half-width two frames) and its Cholesky
factor costs little more than solving the frames one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, solveh_banded

from bvh.rotations import Array
from motiontok.robots.kinematics import Kinematics
from motiontok.robots.tasks import Task, linearize

__all__ = ["Smoothness", "limit_speed", "settle", "smooth", "windows"]


@dataclass(frozen=True)
class Smoothness:
    """Weights of the joints' movement, per joint and frame.

    Attributes:
        speed: per rad that a joint moves in 1/30 s.
        acceleration: per rad that this changes in 1/30 s.
        excess: per rad in 1/30 s above the joint's speed limit.
        iterations: Gauss-Newton steps.
    """

    speed: float = 1.0
    acceleration: float = 2.0
    excess: float = 100.0
    iterations: int = 3


_ROUGH = 4.0  # times the median cost
_MARGIN = 10  # frames refined around a rough one
_SETTLE = 15
_DAMPING = 0.1
_MAX_STEP = 0.5


def smooth(
    kinematics: Kinematics,
    tasks: Sequence[Task],
    q: Array,
    fps: float,
    speed_limits: Array,
    smoothness: Smoothness | None = None,
    *,
    frozen: Array | None = None,
) -> tuple[Array, Array]:
    """Lower tracking and movement cost of a trajectory together, within joint limits.

    Args:
        kinematics: of all bodies that the tasks name.
        tasks: of as many frames as ``q``.
        q: configurations ``(frames, nq)``, a good start.
        fps: frames per second.
        speed_limits: ``(joints,)`` rad/s.
        smoothness: weights.
        frozen: ``(frames,)`` true where a frame must stay as it is.

    Returns:
        Configurations ``(frames, nq)`` and the tasks' costs ``(frames,)``.
    """
    smoothness = smoothness or Smoothness()
    if len(q) < 3:
        return q, linearize(tasks, kinematics.evaluate(q)).cost
    limits, rate = speed_limits / fps, fps / 30.0
    q = q.copy()
    state = kinematics.evaluate(q)
    system = linearize(tasks, state)
    movement = _movement(q[:, 7:], limits, rate, smoothness)
    damping = np.full(len(q), _DAMPING)
    best, best_cost, least = q.copy(), system.cost.copy(), system.cost.sum() + movement.total
    for _ in range(smoothness.iterations):
        matrix, gradient = kinematics.normal_equations(state.jacobians, system)
        gradient[:, 6:] += movement.slope
        step = _banded_step(kinematics, matrix, gradient, movement, q[:, 7:], damping, frozen)
        step *= np.minimum(1.0, _MAX_STEP / np.maximum(np.abs(step).max(1), 1e-9))[:, None]
        trial = kinematics.integrate(q, step)
        trial[:, 7:] = np.clip(trial[:, 7:], kinematics.lower, kinematics.upper)
        trial_state = kinematics.evaluate(trial)
        trial_system = linearize(tasks, trial_state)
        trial_movement = _movement(trial[:, 7:], limits, rate, smoothness)

        # One frame that a step makes worse must not hold back all the others.
        loss = trial_system.cost - system.cost + trial_movement.share - movement.share
        good = loss < 0.05 * system.cost + 1.0
        damping = np.where(good, 0.3 * damping, np.maximum(10.0 * damping, 10.0))
        q[good] = trial[good]
        state[good] = trial_state[good]
        system[good] = trial_system[good]
        movement = _movement(q[:, 7:], limits, rate, smoothness)
        total = system.cost.sum() + movement.total
        if total < least:
            best, best_cost, least = q.copy(), system.cost.copy(), total
    return best, best_cost


def settle(
    kinematics: Kinematics,
    tasks: Sequence[Task],
    q: Array,
    cost: Array,
    fps: float,
    speed_limits: Array,
) -> tuple[Array, Array]:
    """Refine further around frames that are still far off or too fast.

    Takes and returns what :func:`smooth` returns.
    """
    rough = cost > _ROUGH * np.median(cost)
    fast = (np.abs(np.diff(q[:, 7:], axis=0)) * fps > 1.01 * speed_limits).any(axis=1)
    rough[1:] |= fast
    rough[:-1] |= fast
    frames, frozen = windows(rough)
    if not len(frames):
        return q, cost
    found, found_cost = smooth(
        kinematics,
        [task[frames] for task in tasks],
        q[frames],
        fps,
        speed_limits,
        Smoothness(iterations=_SETTLE),
        frozen=frozen,
    )
    q, cost = q.copy(), cost.copy()
    q[frames], cost[frames] = found, found_cost
    return q, cost


def windows(rough: Array) -> tuple[Array, Array]:
    """Frames to solve again around rough ones ``(frames,)``, for :func:`smooth`.

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


def limit_speed(joints: Array, steps: Array) -> Array:
    """The nearest paths ``(frames, joints)`` that change by at most ``steps (joints,)`` a frame.

    The mean of the largest such path below ``joints`` and the smallest above: of all
    paths that keep to the speed it has the least maximal distance (McShane 1934), and
    it stays within the range of ``joints``.
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


@dataclass(eq=False)
class _Movement:
    """Cost of a trajectory's speeds and accelerations.

    Attributes:
        total: the cost.
        share: ``(frames,)`` of it that each frame takes part in (terms count repeatedly).
        slope: descent direction ``(frames, joints)``.
        diagonal, one, two: bands of its matrix ``(frames, frames - 1, frames - 2; joints)``.
    """

    total: float
    share: Array
    slope: Array
    diagonal: Array
    one: Array
    two: Array


def _movement(joints: Array, limits: Array, rate: float, weights: Smoothness) -> _Movement:
    first = np.diff(joints, axis=0)
    second = np.diff(first, axis=0)
    over = np.sign(first) * np.maximum(np.abs(first) - limits, 0.0)
    speed, acceleration = (weights.speed * rate) ** 2, (weights.acceleration * rate**2) ** 2
    excess = (weights.excess * rate) ** 2
    of_first = speed * (first**2).sum(1) + excess * (over**2).sum(1)
    of_second = acceleration * (second**2).sum(1)

    stiff = speed + excess * (over != 0)
    pull = speed * first + excess * over
    bend = acceleration * second
    share = np.zeros(len(joints))
    slope, diagonal = np.zeros_like(joints), np.zeros_like(joints)
    for offset, sign in ((0, 1.0), (1, -1.0)):
        part = slice(offset, len(joints) - 1 + offset)
        share[part] += of_first
        slope[part] += sign * pull
        diagonal[part] += stiff
    for offset, factor in ((0, 1.0), (1, -2.0), (2, 1.0)):
        part = slice(offset, len(joints) - 2 + offset)
        share[part] += of_second
        slope[part] -= factor * bend
        diagonal[part] += factor**2 * acceleration
    one = -stiff
    one[:-1] -= 2.0 * acceleration
    one[1:] -= 2.0 * acceleration
    two = np.full_like(second, acceleration)
    total = float(of_first.sum() + of_second.sum())
    return _Movement(total, share, slope, diagonal, one, two)


def _banded_step(
    kinematics: Kinematics,
    matrix: Array,
    gradient: Array,
    movement: _Movement,
    joints: Array,
    damping: Array,
    frozen: Array | None,
) -> Array:
    """Gauss-Newton step ``(frames, nv)`` of all frames together."""
    frames, nv = gradient.shape
    push = gradient[:, 6:]
    held = ((joints <= kinematics.lower + 1e-9) & (push < 0)) | (
        (joints >= kinematics.upper - 1e-9) & (push > 0)
    )
    free = np.ones((frames, nv))
    free[:, 6:] = ~held
    if frozen is not None:
        free[frozen] = 0.0
    matrix = matrix * free[:, :, None] * free[:, None, :]
    view = np.einsum("tii->ti", matrix)
    view += 1e-3 * view + damping[:, None] + (1.0 - free)
    view[:, 6:] += movement.diagonal * free[:, 6:]

    # Lower band storage, one row an unknown: band[t, i, k] couples i with i + k.
    band = np.zeros((frames, nv, 2 * nv + 1))
    padded = np.zeros((frames, nv, 2 * nv))
    padded[:, :, :nv] = matrix
    s0, s1, s2 = padded.strides
    band[:, :, :nv] = np.lib.stride_tricks.as_strided(
        padded, (frames, nv, nv), (s0, s1 + s2, s2), writeable=False
    )
    band[:-1, 6:, nv] = movement.one * free[:-1, 6:] * free[1:, 6:]
    band[:-2, 6:, 2 * nv] = movement.two * free[:-2, 6:] * free[2:, 6:]
    try:
        out: Array = solveh_banded(
            band.reshape(frames * nv, 2 * nv + 1).T,
            (gradient * free).ravel(),
            lower=True,
            overwrite_ab=True,
            overwrite_b=True,
            check_finite=False,
        )
    except LinAlgError:  # the hinge of the speed limit made it indefinite to rounding
        return np.zeros((frames, nv))
    return out.reshape(frames, nv)
