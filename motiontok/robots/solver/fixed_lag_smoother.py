"""Smooth a stream with a stated delay: the problem of a whole clip, one frame at a time.

Tracking to second order, third differences, held points and soft limits make a banded system
(:mod:`~motiontok.robots.solver.banded_gauss_newton`). Here it is factored frame by frame as frames
arrive. The information of earlier frames is kept as information on the newest three (a Kalman
filter in information form). Solving backwards from the newest frame to the due one is fixed-lag
smoothing (Rauch, Tung and Striebel 1965). Older frames are never used again, so the work per frame
does not depend on the stream's length.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import pinocchio as pin
from scipy.linalg import blas, lapack

from bvh.rotations import Array
from motiontok.robots.kinematics.one_quaternion import times
from motiontok.robots.limits.smoothness import NEAR, REACH, THIRD, MovementCost

__all__ = ["FixedLagSmoother", "Points"]

_FLOOR = 0.1  # absolute damping, in units of cost per rad^2
_NOTHING = 1e-3  # information on what lies before the stream


@dataclass(frozen=True, eq=False)
class Points:
    """Points of the robot in one frame.

    Attributes:
        places: ``(points, 3)`` in the world, metres.
        rows: ``(points, 3, nv)`` their movement by each degree of freedom, the base's along and
            about the world's axes.
        standing: ``(points,)`` whether each stands.
        shifts: ``(points, 3)`` how far those that stand are to move from the frame before, metres;
            not at all, if not given.
    """

    places: Array
    rows: Array
    standing: Array
    shifts: Array | None = None


@dataclass(eq=False)
class _Frame:
    """One frame of the window: its linearization point, and its step by those of the next three.

    The step is ``own - follow @ next``, once the frame is eliminated. Jerk is the third difference
    of coordinates: the base's place, the sum of its turns from frame to frame, and the joints.
    """

    q: Array
    attitude: Array
    coordinates: Array
    own: Array | None = None
    follow: Array | None = None


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
        self._near = movement.bounds[0] + NEAR, movement.bounds[1] - NEAR
        self._hard, self._soft = movement.weights.inside**2, movement.weights.rest**2
        self._lag = max(lag, REACH)
        nv = self._nv = 6 + len(lower)
        jerk = np.full(nv, movement.joint)
        jerk[:3], jerk[3:6] = movement.base, movement.turn
        self._pull = THIRD[:, None] * jerk
        self._stiff = np.outer(THIRD, THIRD)[..., None] * jerk
        self._turn = np.zeros((6, 6))
        # LAPACK takes whole arrays whose columns run along memory, others it copies.
        self._oldest, self._on_oldest = _blocks(1, 1, nv)
        self._across, self._on_across = _blocks(REACH, 1, nv)
        self._matrix, self._spare = _blocks(REACH, REACH, nv), _blocks(REACH, REACH, nv)
        self._steps = np.zeros((self._lag + 1 + REACH) * nv)
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        size = REACH * self._nv
        self._frames: deque[_Frame] = deque(maxlen=self._lag + 1)
        self._matrix[0][:] = _NOTHING * np.eye(size)
        self._vector = np.zeros(size)
        self._before: Points | None = None

    def push(
        self,
        q: Array,
        attitude: Array,
        matrix: Array,
        gradient: Array,
        points: Points,
        ahead: int = 0,
    ) -> tuple[Array, Array]:
        """Smoothed configurations ``(nq,)``.

        They are those of the frame ``lag`` before (the first, as long as there are fewer), and,
        as far as known, of a later one.

        Args:
            q: ``(nq,)``, around which the frame's costs are given to second order.
            attitude: ``(3, 3)`` of the base in ``q``.
            matrix: ``(nv, nv)`` Gauss-Newton matrix, as of a tangent step of ``q``.
            gradient: ``(nv,)`` descent direction; changed.
            points: points to hold while they stand.
            ahead: frames by which the second one is later, at most ``lag``.
        """
        nv = self._nv
        early = REACH * nv
        # Steps of the base are taken along the world's axes, in which jerk is constant.
        turn = self._turn
        turn[:3, :3] = turn[3:, 3:] = attitude
        gradient[:6] = turn @ gradient[:6]
        # Only lower triangles are kept up.
        oldest, across, (blocks, diagonals) = self._oldest, self._across, self._spare
        before, newer = self._matrix[0], 2 * nv
        oldest[:] = before[:nv, :nv]
        across[:newer], across[newer:] = before[nv:, :nv], 0.0
        blocks[:newer, :newer] = before[nv:, nv:]
        blocks[newer:, :newer] = 0.0
        blocks[newer:, newer:] = matrix.T  # symmetric: so both run along columns
        turned = turn @ matrix[:6]
        blocks[newer + 6 :, newer : newer + 6] = turned[:, 6:].T
        blocks[newer : newer + 6, newer : newer + 6] = turned[:, :6] @ turn.T
        vector = np.empty(early + nv)
        vector[:early] = self._vector
        vector[early:] = gradient
        stiff, pull = self._joints(q[7:], gradient[6:])
        own_part = diagonals[REACH - 1, REACH - 1]
        own_part += _FLOOR
        own_part[6:] += stiff
        vector[early + 6 :] += pull
        coordinates = np.empty(nv)
        coordinates[:3], coordinates[6:] = q[:3], q[7:]
        coordinates[3:6] = 0.0
        if self._frames:
            last = self._frames[-1]
            coordinates[3:6] = last.coordinates[3:6] + pin.log3(attitude @ last.attitude.T)
        if len(self._frames) >= REACH:
            self._add_jerk(coordinates, diagonals, vector)
        self._add_stillness(points, blocks, vector)

        # The oldest frame is eliminated; what is left is the information for the next frame.
        own, failed = lapack.dpotrf(oldest, lower=1, clean=0, overwrite_a=1)
        later = blas.dtrsm(1.0, own, across, side=1, lower=1, trans_a=1, overwrite_b=1)
        right = blas.dtrsv(own, vector[:nv], lower=1)
        blas.dsyrk(-1.0, later, beta=1.0, c=blocks, lower=1, overwrite_c=1)
        self._matrix, self._spare = self._spare, self._matrix
        self._vector = vector[nv:] - later @ right
        _, newest, failed_too = lapack.dposv(blocks, self._vector, lower=1)
        if failed or failed_too:  # a stream that runs away: begin anew from here
            self.reset()
            return q.copy(), q.copy()
        if len(self._frames) >= REACH:
            done = self._frames[-REACH]
            done.own = blas.dtrsv(own, right, lower=1, trans=1)
            done.follow = blas.dtrsm(1.0, own, later, side=1, lower=1)
        self._frames.append(_Frame(q, attitude, coordinates))
        return self._solved(newest, min(ahead, len(self._frames) - 1))

    def _solved(self, newest: Array, ahead: int) -> tuple[Array, Array]:
        """The oldest frame of the window and a later one, given the steps of the newest three."""
        nv, frames = self._nv, self._frames
        count = max(len(frames) - REACH, 0)
        x = self._steps
        x[count * nv : (count + REACH) * nv] = newest
        at = count * nv
        for k in range(count - 1, -1, -1):
            frame = frames[k]
            x[at - nv : at] = frame.own - x[at : at + REACH * nv] @ frame.follow  # type: ignore[operator]
            at -= nv
        # Before the first frames of a stream there are none.
        x = x[max(REACH - len(frames), 0) * nv :]
        return (
            self._stepped(frames[0].q, x[:nv]),
            self._stepped(frames[ahead].q, x[ahead * nv : (ahead + 1) * nv]),
        )

    def _stepped(self, q: Array, step: Array) -> Array:
        out = q.copy()
        out[:3] += step[:3]
        x, y, z = step[3:6].tolist()
        angle = math.sqrt(x * x + y * y + z * z)
        share = math.sin(0.5 * angle) / angle if angle > 1e-9 else 0.5
        turn = [share * x, share * y, share * z, math.cos(0.5 * angle)]
        turned = times(turn, q[3:7].tolist())
        size = math.sqrt(sum(value * value for value in turned))
        out[3:7] = [value / size for value in turned]
        joints = out[7:]
        joints += step[6:]
        np.maximum(joints, self._limits[0], out=joints)
        np.minimum(joints, self._limits[1], out=joints)
        return out

    def _joints(self, joints: Array, push: Array) -> tuple[Array, Array]:
        """Stiffness and pull ``(joints,)`` of soft limits and of neutral values."""
        (low, high), (leaves_low, leaves_high) = self._movement.bounds, self._near
        inside = np.minimum(np.maximum(joints, low), high)
        inside -= joints
        leaving = np.where(push < 0.0, joints < leaves_low, joints > leaves_high)
        leaving |= inside != 0.0
        inside *= self._hard
        inside += self._soft * (self._movement.neutral - joints)
        return self._soft + self._hard * leaving, inside

    def _add_jerk(self, coordinates: Array, diagonals: Array, vector: Array) -> None:
        first, second, third = (self._frames[k].coordinates for k in (-3, -2, -1))
        jerk = second - third
        jerk *= 3.0
        jerk += coordinates
        jerk -= first
        diagonals += self._stiff[1:, 1:]
        self._on_oldest += self._stiff[:1, :1]
        self._on_across += self._stiff[1:, :1]
        vector -= (self._pull * jerk).ravel()

    def _add_stillness(self, points: Points, blocks: Array, vector: Array) -> None:
        before, self._before = self._before, points
        if before is None:
            return
        both = before.standing & points.standing
        if not both.any():
            return
        nv = self._nv
        earlier, later, moved = before.rows, points.rows, points.places - before.places
        if points.shifts is not None:
            moved -= points.shifts
        if not both.all():
            earlier, later, moved = earlier[both], later[both], moved[both]
        still = self._movement.still
        rows = np.empty((3 * len(moved), 2 * nv))
        np.multiply(earlier.reshape(-1, nv), -still, out=rows[:, :nv])
        np.multiply(later.reshape(-1, nv), still, out=rows[:, nv:])
        blocks[nv:, nv:] += (rows.T @ rows).T
        vector[2 * nv :] -= (still * moved.ravel()) @ rows


def _blocks(down: int, along: int, size: int) -> tuple[Array, Array]:
    """Square blocks in a matrix, and views ``(down, along, size)`` of the blocks' diagonals."""
    matrix = np.zeros((down * size, along * size), order="F")
    below, beside = matrix.strides
    diagonals = np.lib.stride_tricks.as_strided(
        matrix, (down, along, size), (size * below, size * beside, below + beside)
    )
    return matrix, diagonals
