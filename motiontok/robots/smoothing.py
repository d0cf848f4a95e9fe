"""Refine a whole trajectory at once: tracking, speed and acceleration of every frame together.

Gauss-Newton on all frames as one problem. Neighbouring frames are coupled joint by
joint only, so the normal matrix is banded (half-width one frame) and its Cholesky factor
costs no more than solving the frames one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, solveh_banded

from bvh.rotations import Array
from motiontok.robots.kinematics import Kinematics
from motiontok.robots.tasks import BATCH, Quadratic, Task, quadratic

__all__ = ["Smoothness", "limit_speed", "movement_cost", "smooth"]


@dataclass(frozen=True)
class Smoothness:
    """Weights of the joints' movement, per joint and frame.

    Attributes:
        speed: per rad that a joint moves in 1/30 s.
        acceleration: per rad that this changes in 1/30 s.
        excess: per rad in 1/30 s above the joint's speed limit.
        iterations: Gauss-Newton steps.
        damping: of the first step, relative to the matrix's diagonal.
    """

    speed: float = 1.0
    acceleration: float = 2.0
    excess: float = 100.0
    iterations: int = 2
    damping: float = 0.0


_WORTH = 0.1  # of its cost: a frame that gained more in the last step gets another one
_PART = 0.3  # of a step that went too far
_FLOOR = 0.1  # absolute damping, in units of cost per rad^2
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
) -> tuple[Array, Array, Array]:
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
        Configurations ``(frames, nq)``, the tasks' costs ``(frames,)``, and which frames
        ``(frames,)`` the last step still made better, or would have made worse.
    """
    smoothness = smoothness or Smoothness()
    q = q.copy()
    model = quadratic(kinematics, tasks, q)
    limits, rate = speed_limits / fps, fps / 30.0
    movement = _movement(q[:, 7:], limits, rate, smoothness)
    band = np.zeros((len(q), kinematics.nv, kinematics.nv + 1), dtype=np.float32)
    spare: Quadratic | None = None
    damping, restless = np.full(len(q), smoothness.damping), np.ones(len(q), dtype=bool)
    best, best_cost, least = q.copy(), model.cost.copy(), model.cost.sum() + movement.total
    for _ in range(smoothness.iterations):
        free = _free(kinematics, model.gradient[:, 6:] + movement.slope, q[:, 7:])
        if frozen is not None:
            free[frozen] = 0.0
        step = _step(model, movement, free, damping, band)
        step *= np.minimum(1.0, _MAX_STEP / np.maximum(np.abs(step).max(1), 1e-9))[:, None]
        trial = kinematics.integrate(q, step)
        trial[:, 7:] = np.clip(trial[:, 7:], kinematics.lower, kinematics.upper)
        trial_model = quadratic(kinematics, tasks, trial, out=spare)
        trial_movement = _movement(trial[:, 7:], limits, rate, smoothness)

        # One frame that a step makes worse must not hold back all the others.
        loss = trial_model.cost - model.cost + trial_movement.share - movement.share
        good = loss < 0.05 * model.cost + 1.0
        restless = ~good | (-loss > _WORTH * (model.cost + 10.0))
        damping = np.where(good, 0.1 * damping, np.maximum(10.0 * damping, 0.1))
        bad = np.flatnonzero(~good)
        if len(bad):
            # Most often a new corner of a sole has met the floor: go part of the way.
            part = kinematics.integrate(q[bad], _PART * step[bad])
            part[:, 7:] = np.clip(part[:, 7:], kinematics.lower, kinematics.upper)
            part_model = quadratic(kinematics, [task[bad] for task in tasks], part)
            fine = part_model.cost < 1.05 * model.cost[bad] + 1.0
            trial[bad[fine]] = part[fine]
            trial_model[bad[fine]] = part_model[fine]
            good[bad[fine]] = True
        q[good] = trial[good]
        trial_model[~good] = model[~good]
        model, spare = trial_model, model
        movement = _movement(q[:, 7:], limits, rate, smoothness)
        total = model.cost.sum() + movement.total
        if total < least:
            best, best_cost, least = q.copy(), model.cost.copy(), total
        if not restless.any():
            break
    return best, best_cost, restless


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


def movement_cost(
    joints: Array, fps: float, speed_limits: Array, smoothness: Smoothness | None = None
) -> Array:
    """Cost ``(frames,)`` of the movement of ``joints (frames, joints)`` in which each frame
    takes part; a term counts once for each of its frames."""
    weights = smoothness or Smoothness()
    return _movement(joints, speed_limits / fps, fps / 30.0, weights).share


@dataclass(eq=False)
class _Movement:
    """Cost of a trajectory's speeds and accelerations.

    Attributes:
        total: the cost.
        share: ``(frames,)`` of it that each frame takes part in (terms count repeatedly).
        slope: descent direction ``(frames, joints)``.
        diagonal, beside: ``(frames, joints)`` and ``(frames - 1, joints)`` of a matrix
            that bounds the cost from above: an acceleration couples three frames; the
            product of the outer two is bounded by their squares, which halves the
            bandwidth of the whole system (majorisation, Hunter and Lange 2004).
    """

    total: float
    share: Array
    slope: Array
    diagonal: Array
    beside: Array


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
    for offset, factor, bound in ((0, 1.0, 2.0), (1, -2.0, 4.0), (2, 1.0, 2.0)):
        part = slice(offset, len(joints) - 2 + offset)
        share[part] += of_second
        slope[part] -= factor * bend
        diagonal[part] += bound * acceleration
    beside = -stiff
    beside[:-1] -= 2.0 * acceleration
    beside[1:] -= 2.0 * acceleration
    return _Movement(float(of_first.sum() + of_second.sum()), share, slope, diagonal, beside)


def _free(kinematics: Kinematics, push: Array, joints: Array) -> Array:
    """``(frames, nv)`` 1, or 0 for a joint at its limit that is pressed outward."""
    held = ((joints <= kinematics.lower + 1e-9) & (push < 0)) | (
        (joints >= kinematics.upper - 1e-9) & (push > 0)
    )
    free = np.ones((len(joints), kinematics.nv))
    free[:, 6:] = ~held
    return free


def _step(model: Quadratic, movement: _Movement, free: Array, damping: Array, band: Array) -> Array:
    """Gauss-Newton step ``(frames, nv)`` of all frames together.

    Args:
        model: the tasks.
        movement: couples neighbouring frames.
        free: ``(frames, nv)`` 1 where a coordinate may move.
        damping: ``(frames,)``.
        band: ``(frames, nv, nv + 1)`` memory for the matrix in lower band storage, one row
            an unknown: ``band[t, i, k]`` couples the unknown ``(t, i)`` with the k-th after.
    """
    frames, nv = free.shape
    padded = np.zeros((BATCH, nv, 2 * nv), dtype=band.dtype)
    s0, s1, s2 = padded.strides
    skewed = np.lib.stride_tricks.as_strided(padded, (BATCH, nv, nv), (s0, s1 + s2, s2))
    for start in range(0, frames, BATCH):
        part = slice(start, start + BATCH)
        loose = free[part]
        count = len(loose)
        matrix = padded[:count, :, :nv]
        np.multiply(model.matrix[part], loose[:, :, None], out=matrix)
        matrix *= loose[:, None, :]
        diagonal = np.einsum("tii->ti", matrix)
        diagonal += (1e-3 + damping[part, None]) * diagonal + _FLOOR + (1.0 - loose)
        diagonal[:, 6:] += movement.diagonal[part] * loose[:, 6:]
        band[part, :, :nv] = skewed[:count]
    gradient = model.gradient.copy()
    gradient[:, 6:] += movement.slope
    band[:, :, nv] = 0.0
    band[:-1, 6:, nv] = movement.beside * free[:-1, 6:] * free[1:, 6:]
    try:
        out: Array = solveh_banded(
            band.reshape(frames * nv, nv + 1).T,
            (gradient * free).ravel().astype(band.dtype),
            lower=True,
            overwrite_ab=True,
            overwrite_b=True,
            check_finite=False,
        )
    except LinAlgError:  # indefinite to rounding
        return np.zeros((frames, nv))
    return out.reshape(frames, nv).astype(np.float64)
