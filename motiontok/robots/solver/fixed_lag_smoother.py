"""Smooth a stream with a stated delay: the problem of a whole clip, one frame at a time.

Tracking to second order, third differences, held points and soft limits make a banded
system (:mod:`~motiontok.robots.solver.refinement`). Here it is factored frame by frame as frames
    arrive. The information of earlier frames is kept as information on the newest three (a Kalman
    filter in information form). Solving backwards from the newest frame to the due one is fixed-lag
    smoothing (Rauch, Tung and Striebel 1965). Older frames are never used again, so the work per
    frame does not depend on the stream's length.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import lapack

from bvh import rotations as quaternions
from bvh.rotations import Array, conjugate, multiply
from motiontok.robots.files.trajectory import wxyz_from_xyzw, xyzw_from_wxyz
from motiontok.robots.limits.smoothness import NEAR, REACH, THIRD, MovementCost

__all__ = ["FixedLagSmoother", "Points"]

_FLOOR = 0.1  # absolute damping, in units of cost per rad^2
_NOTHING = 1e-3  # information on what lies before the stream


@dataclass(frozen=True, eq=False)
class Points:
    """Points of the robot in one frame.

    Attributes:
        places: ``(points, 3)`` in the world, metres.
        rows: ``(points, 3, nv)`` their movement by each degree of freedom.
        standing: ``(points,)`` whether each stands.
    """

    places: Array
    rows: Array
    standing: Array


@dataclass(eq=False)
class _Frame:
    """One frame of the window: its linearization point, and its rows of the factor."""

    q: Array
    own: Array | None = None
    later: Array | None = None
    right: Array | None = None


class FixedLagSmoother:
    """Smooths configurations of a stream, each when ``lag`` later ones are known.

    Args:
        movement: of the robot at the stream's rate.
        lower: ``(joints,)`` limits.
        upper: ``(joints,)``.
        lag: frames, at least 3.
    """

    def __init__(self, movement: MovementCost, lower: Array, upper: Array, lag: int) -> None:
        self._movement = movement
        self._limits = lower, upper
        self._lag = max(lag, REACH)
        nv = self._nv = 6 + len(lower)
        jerk = np.full(nv, movement.joint)
        jerk[:3], jerk[3:6] = movement.base, movement.turn
        self._pull = THIRD[:, None] * jerk
        self._stiff = np.outer(THIRD, THIRD)[..., None] * jerk
        self._world = np.eye(nv)
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        size = REACH * self._nv
        self._frames: deque[_Frame] = deque(maxlen=self._lag + 1)
        self._matrix = _NOTHING * np.eye(size)
        self._vector = np.zeros(size)
        self._before: Points | None = None
        self._spins: deque[Array] = deque(maxlen=REACH)

    def push(self, q: Array, matrix: Array, gradient: Array, points: Points) -> Array:
        """The smoothed configuration ``(nq,)`` of the frame ``lag`` before, or of the first.

        Args:
            q: ``(nq,)``, around which the frame's costs are given to second order.
            matrix: ``(nv, nv)`` Gauss-Newton matrix, as of a tangent step of ``q``.
            gradient: ``(nv,)`` descent direction.
            points: points to hold while they stand.
        """
        nv = self._nv
        early = REACH * nv
        # Steps of the base are taken along the world's axes, in which jerk is constant.
        world, attitude = self._world, wxyz_from_xyzw(q[3:7])
        world[:3, :3] = world[3:6, 3:6] = quaternions.to_matrix(attitude)
        total = np.zeros((early + nv, early + nv), order="F")
        total[:early, :early] = self._matrix
        vector = np.zeros(early + nv)
        vector[:early] = self._vector
        push = world @ gradient
        stiff, pull = self._joints(q[7:], push[6:])
        total[early:, early:] = world @ matrix @ world.T
        diagonal = np.einsum("ii->i", total[early:, early:])
        diagonal += _FLOOR
        diagonal[6:] += stiff
        push[6:] += pull
        vector[early:] = push
        if self._frames:
            before = wxyz_from_xyzw(self._frames[-1].q[3:7])
            self._spins.append(quaternions.log(multiply(attitude, conjugate(before))))
        if len(self._frames) >= REACH:
            self._add_jerk(q, total, vector)
        self._add_stillness(replace(points, rows=points.rows @ world.T), total, vector)

        factor, failed = lapack.dpotrf(total, lower=1, overwrite_a=1)
        if failed:  # a stream that runs away: begin anew from here
            self.reset()
            return q.copy()
        # Forward substitution gives every frame its right side; what is left of the newest
        # three is the information for the next frame.
        right, _ = lapack.dtrtrs(factor, vector, lower=1)
        late = factor[nv:, nv:]
        self._matrix = late @ late.T
        self._vector = late @ right[nv:]
        if len(self._frames) >= REACH:
            done = self._frames[-REACH]
            done.own, done.later, done.right = factor[:nv, :nv], factor[nv:, :nv], right[:nv]
        self._frames.append(_Frame(q.copy()))
        newest, _ = lapack.dtrtrs(late, right[nv:], lower=1, trans=1)
        return self._first(newest)

    def _first(self, x: Array) -> Array:
        """The oldest frame of the window, given the steps of the newest three."""
        nv = self._nv
        for k in range(len(self._frames) - REACH - 1, -1, -1):
            frame = self._frames[k]
            assert frame.later is not None
            left = frame.right - x @ frame.later
            step, _ = lapack.dtrtrs(frame.own, left, lower=1, trans=1)
            x = np.concatenate([step, x[: 2 * nv]])
        step = x[max(REACH - len(self._frames), 0) * nv :][:nv]
        return self._stepped(self._frames[0].q, step)

    def _stepped(self, q: Array, step: Array) -> Array:
        out = np.empty_like(q)
        out[:3] = q[:3] + step[:3]
        turned = multiply(quaternions.exp(step[3:6]), wxyz_from_xyzw(q[3:7]))
        out[3:7] = xyzw_from_wxyz(quaternions.normalize(turned))
        out[7:] = np.minimum(np.maximum(q[7:] + step[6:], self._limits[0]), self._limits[1])
        return out

    def _joints(self, joints: Array, push: Array) -> tuple[Array, Array]:
        """Stiffness and pull ``(joints,)`` of soft limits and of neutral values."""
        weights, (low, high) = self._movement.weights, self._movement.bounds
        inside = np.maximum(low - joints, 0.0) - np.maximum(joints - high, 0.0)
        leaving = ((joints < low + NEAR) & (push < 0.0)) | ((joints > high - NEAR) & (push > 0.0))
        hard, soft = weights.inside**2, weights.rest**2
        rest = self._movement.neutral - joints
        return soft + hard * ((inside != 0.0) | leaving), hard * inside + soft * rest

    def _add_jerk(self, q: Array, total: Array, vector: Array) -> None:
        nv, spins = self._nv, self._spins
        third = q - self._frames[-3].q + 3.0 * (self._frames[-2].q - self._frames[-1].q)
        twist = spins[0] - 2.0 * spins[1] + spins[2]
        third = np.concatenate([third[:3], twist, third[7:]])
        # The diagonals of all blocks at once.
        view = np.lib.stride_tricks.as_strided(
            total,
            (REACH + 1, REACH + 1, nv),
            (nv * total.strides[0], nv * total.strides[1], sum(total.strides)),
        )
        view += self._stiff
        vector -= (self._pull * third).ravel()

    def _add_stillness(self, points: Points, total: Array, vector: Array) -> None:
        before, self._before = self._before, points
        if before is None:
            return
        both = before.standing & points.standing
        if not both.any():
            return
        weight, start = self._movement.still, (REACH - 1) * self._nv
        rows = np.concatenate([-before.rows[both], points.rows[both]], axis=-1)
        rows = weight * rows.reshape(-1, 2 * self._nv)
        total[start:, start:] += rows.T @ rows
        moved = weight * (points.places[both] - before.places[both]).ravel()
        vector[start:] -= moved @ rows
