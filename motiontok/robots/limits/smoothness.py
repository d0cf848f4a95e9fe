"""The movement cost of a whole trajectory: jerk, and joints near limits or too fast.

A tracker can follow only what its motors can. So the third derivative of the joints and of the base
has to be small, not only the second (minimum jerk: Flash and Hogan 1985). Third differences couple
four neighbouring frames, so the normal matrix stays banded.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np

from bvh import rotations as quaternions
from bvh.rotations import Array, conjugate, multiply, to_matrix
from motiontok.robots.files.trajectory import wxyz_from_xyzw
from motiontok.robots.limits.joint_limits import limit_margins

__all__ = ["NEAR", "REACH", "THIRD", "Movement", "MovementCost", "Smoothness"]

REACH = 3  # frames that a term couples a frame with
NEAR = 0.02  # rad from a margin: about to enter it
THIRD = np.array([-1.0, 3.0, -3.0, 1.0])


@dataclass(frozen=True)
class Smoothness:
    """Weights of a trajectory's movement, per frame at 30 frames per second.

    Attributes:
        joint: per rad of a joint's third difference.
        base: per metre of the base's third difference.
        turn: per rad of the second difference of the base's turn from frame to frame.
        speed: per rad that a joint moves; decides where nothing else does.
        fastest: rad/s, the soft speed limit of joints, besides their own.
        excess: per rad a frame above these speeds.
        margin: share of each joint's range, at both limits, to keep free.
        inside: per rad inside that margin.
        still: per metre of movement of a held point.
        rest: per rad of a joint from its neutral value; decides singular poses.
    """

    joint: float = 20.0
    base: float = 800.0
    turn: float = 150.0
    speed: float = 0.5
    fastest: float = 16.0
    excess: float = 200.0
    margin: float = 0.03
    inside: float = 700.0
    still: float = 3000.0
    rest: float = 0.5


@dataclass(eq=False)
class Movement:
    """A trajectory's movement cost to second order.

    Attributes:
        cost: ``(frames,)``; a term counts at the second of its frames.
        gradient: ``(frames, nv)`` descent direction, half the negative derivative.
        diagonal: ``(frames, joints)`` of the matrix.
        beside: ``(frames - 1, joints)`` coupling of neighbouring frames, jerk aside.
        rotations: ``(frames, 3, 3)`` of the base, into whose axes the base's share of
            the matrix is turned.
        walls: ``(frames, joints)`` -1 or 1 where a joint is about to enter its lower or upper
            margin, 0 elsewhere: a step that way meets a cost that is not in the matrix yet.
        inside: ``(frames, joints)`` true where a joint is in its margin.
    """

    cost: Array
    gradient: Array
    diagonal: Array
    beside: Array
    rotations: Array
    walls: Array
    inside: Array


class MovementCost:
    """The cost of movement of a robot at a rate.

    Args:
        weights: of the terms.
        lower: ``(joints,)`` limits.
        upper: ``(joints,)``.
        speed_limits: ``(joints,)`` rad/s.
        fps: frames per second.

    Attributes:
        bounds: lower and upper joint values ``(joints,)`` between which margins are free.
        neutral: ``(joints,)`` zero, or the nearest value within bounds.
    """

    def __init__(
        self, weights: Smoothness, lower: Array, upper: Array, speed_limits: Array, fps: float
    ) -> None:
        self.weights = weights
        rate = fps / 30.0
        self.joint = (weights.joint * rate**3) ** 2
        self.base = (weights.base * rate**3) ** 2
        self.turn = (weights.turn * rate**3) ** 2
        self.still = weights.still * rate
        self._speed = (weights.speed * rate) ** 2
        self._excess = (weights.excess * rate) ** 2
        self._limits = np.minimum(speed_limits, weights.fastest) / fps
        margin = limit_margins(lower, upper, weights.margin)
        self.bounds = self._low, self._high = lower + margin, upper - margin
        self.neutral = np.clip(0.0, self._low, self._high)

    def softened(self, share: float) -> MovementCost:
        """The same with a share of the weight of joints inside their margins."""
        out = copy.copy(self)
        out.weights = replace(self.weights, inside=share * self.weights.inside)
        return out

    def __call__(self, q: Array) -> Movement:
        """Cost of configurations ``q (frames, nq)``."""
        weights, frames = self.weights, len(q)
        joints = q[:, 7:]
        inside = np.maximum(self._low - joints, 0.0) - np.maximum(joints - self._high, 0.0)
        rest = self.neutral - joints
        hard, soft = weights.inside**2, weights.rest**2
        cost = (hard * inside**2 + soft * rest**2).sum(1)
        slope = hard * inside + soft * rest
        diagonal = soft + hard * (inside != 0)

        first = np.diff(joints, axis=0)
        over = np.sign(first) * np.maximum(np.abs(first) - self._limits, 0.0)
        stiff = self._speed + self._excess * (over != 0)
        pull = self._speed * first + self._excess * over
        cost[:-1] += (self._speed * first**2 + self._excess * over**2).sum(1)
        slope[:-1] += pull
        slope[1:] -= pull
        diagonal[:-1] += stiff
        diagonal[1:] += stiff

        turns = wxyz_from_xyzw(q[:, 3:7])
        rotations = to_matrix(turns)
        gradient = np.zeros((frames, 6 + joints.shape[1]))
        gradient[:, 6:] = slope
        if frames > REACH:
            bend = np.diff(first, n=2, axis=0)
            shove = np.diff(q[:, :3], n=3, axis=0)
            spin = quaternions.log(multiply(turns[1:], conjugate(turns[:-1])))
            twist = np.diff(spin, n=2, axis=0)
            cost[1 : frames - 2] += self.joint * (bend**2).sum(1)
            cost[1 : frames - 2] += self.base * (shove**2).sum(1) + self.turn * (twist**2).sum(1)
            world = np.concatenate([self.base * shove, self.turn * twist], axis=1)
            pushed = np.zeros((frames, 6))
            for offset, factor in enumerate(THIRD):
                part = slice(offset, frames - REACH + offset)
                gradient[part, 6:] -= factor * self.joint * bend
                pushed[part] -= factor * world
            # A turn about the base's own axes is one about the world's, turned.
            back = rotations.swapaxes(-1, -2)
            gradient[:, :6] = (back[:, None] @ pushed.reshape(frames, 2, 3, 1)).reshape(frames, 6)
        walls = (joints > self._high - NEAR).astype(float) - (joints < self._low + NEAR)
        walls[inside != 0] = 0.0
        return Movement(cost, gradient, diagonal, -stiff, rotations, walls, inside != 0)


def third_difference_bands(frames: int) -> Array:
    """Bands ``(4, frames)`` of the third differences' normal matrix.

    Entry ``d, t`` couples frames t and t + d.
    """
    out = np.zeros((REACH + 1, frames))
    for d in range(REACH + 1):
        for k in range(REACH + 1 - d):
            # The term that starts at s meets frame s + k with one factor, s + k + d with another.
            out[d, k : max(frames - REACH + k, 0)] += THIRD[k] * THIRD[k + d]
    return out
