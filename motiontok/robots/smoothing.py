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
from motiontok.robots.solver import linearize
from motiontok.robots.tasks import Task

__all__ = ["Smoothness", "smooth"]


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


_DAMPING = 0.1
_MAX_STEP = 0.5


def smooth(
    kinematics: Kinematics,
    tasks: Sequence[Task],
    q: Array,
    fps: float,
    speed_limits: Array,
    smoothness: Smoothness | None = None,
) -> tuple[Array, Array]:
    """Lower tracking and movement cost of a trajectory together, within joint limits.

    Args:
        kinematics: of all bodies that the tasks name.
        tasks: of as many frames as ``q``.
        q: configurations ``(frames, nq)``, a good start.
        fps: frames per second.
        speed_limits: ``(joints,)`` rad/s.
        smoothness: weights.

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
        matrix, gradient = kinematics.normal_equations(
            state.jacobians, system.stiffness, system.force
        )
        gradient[:, 6:] += movement.slope
        step = _banded_step(kinematics, matrix, gradient, movement, q[:, 7:], damping)
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
) -> Array:
    """Gauss-Newton step ``(frames, nv)`` of all frames together."""
    frames, nv = gradient.shape
    push = gradient[:, 6:]
    held = ((joints <= kinematics.lower + 1e-9) & (push < 0)) | (
        (joints >= kinematics.upper - 1e-9) & (push > 0)
    )
    free = np.ones((frames, nv))
    free[:, 6:] = ~held
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
