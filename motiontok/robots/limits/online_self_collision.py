"""Self-collision of a stream: the few pairs of bodies that may be close now.

The counterpart for whole trajectories is :mod:`~motiontok.robots.limits.self_collision_task`.
How far apart two shapes were when they were last looked at, less what both have moved since, is a
lower bound of their distance. A pair is looked at again when that bound is used up (conservative
advancement: Mirtich 1996) and its bounding spheres meet, so most frames look at a few of hundreds
of pairs.
"""

from __future__ import annotations

import numpy as np

from bvh.rotations import Array, cross
from motiontok.robots.kinematics.kinematics import State
from motiontok.robots.limits.self_collision import SelfCollision
from motiontok.robots.solver.tasks import NormalEquations

__all__ = ["OnlineSelfCollision"]

_GAP = 0.002  # m between bodies that were parted
_WEIGHT = 1500.0  # per metre
_MOST = 12  # pairs looked at in a frame, those with the least room first


class OnlineSelfCollision:
    """Keeps a robot's bodies apart, frame by frame.

    Args:
        checker: of the robot; its placements are those of the last call.
    """

    def __init__(self, checker: SelfCollision) -> None:
        self._checker = checker
        first, second = checker.pairs.T
        middles, self._reach = checker.spheres
        self._reaches = (self._reach[:, None] + self._reach + _GAP) ** 2
        # Of a shape's placement, its columns and its place, those of the sphere's middle.
        self._middle = np.concatenate([middles, np.ones((len(middles), 1))], axis=1)
        supports = checker.model.supports
        joint_of = np.zeros(checker.model.nv, dtype=int)
        for index in range(1, checker.model.njoints):
            joint = checker.model.joints[index]
            joint_of[joint.idx_v : joint.idx_v + joint.nv] = index
        moved = np.array(
            [
                np.isin(joint_of, supports[shape.parentJoint].tolist()).astype(float)
                for shape in checker.geometry.geometryObjects
            ]
        )
        # What moves the first body and not the second parts or joins them, and the other way round.
        self._parts = moved[first] - moved[second]
        pairs = np.full((len(middles), len(middles)), -1)
        pairs[first, second] = np.arange(len(first))
        self._pairs = pairs.tolist()
        self._unknown = np.where(pairs < 0, np.inf, -1.0)
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._placed: Array | None = None
        # At least how far apart two shapes are, without the gap; infinite if that is no matter.
        self._room = self._unknown.copy()

    def add(self, q: Array, state: State, total: NormalEquations, frame: int) -> bool:
        """Add what parts the bodies of a frame, of all degrees of freedom; whether any overlap.

        Args:
            q: ``(model.nq,)`` the frame's configuration, of all joints.
            state: of all frames.
            total: to add to.
            frame: which of them.
        """
        found = self._overlapping(q)
        if not found:
            return False
        pairs = np.array([pair for pair, _, _, _ in found])
        short = _WEIGHT * (_GAP - np.array([distance for _, distance, _, _ in found]))
        # Seen from the base: a rotation whose columns are the first of the Jacobian.
        turn = state.jacobians[frame, :3, :3]
        points = np.array([point for _, _, point, _ in found]) @ turn + q[:3]
        wrenches = np.empty((len(found), 6))
        wrenches[:, :3] = np.array([normal for _, _, _, normal in found]) @ turn
        wrenches[:, 3:] = cross(points, wrenches[:, :3])
        rows = wrenches @ state.jacobians[frame].T
        rows *= _WEIGHT * self._parts[pairs]
        total.cost[frame] += short @ short
        total.matrix[frame] += rows.T @ rows
        total.gradient[frame] += short @ rows
        return True

    def _overlapping(self, q: Array) -> list[tuple[int, float, Array, Array]]:
        """Pair, distance, a point between and the way to part them, all seen from the base."""
        seen = q.copy()
        seen[:7] = _AT_ORIGIN
        placed = self._checker.place(seen).reshape(-1, 4, 3)
        middles = np.einsum("sk,ski->si", self._middle, placed)
        room = self._room
        if self._placed is not None:
            turns = (placed[:, :3] - self._placed[:, :3]).reshape(-1, 9)
            went = middles - self._middles
            # A turn's norm as a matrix is 2 sqrt(2) sin(angle / 2); points move by a sphere's
            # radius times 2 sin(angle / 2) at most.
            moved = self._reach * np.sqrt(0.5 * np.einsum("si,si->s", turns, turns))
            moved += np.sqrt(np.einsum("si,si->s", went, went))
            room -= moved
            room -= moved[:, None]
        self._placed, self._middles = placed, middles
        squares = np.einsum("si,si->s", middles, middles)
        apart = middles @ (-2.0 * middles.T)
        apart += squares
        apart += squares[:, None]
        one, two = ((room < 0.0) & (apart < self._reaches)).nonzero()
        if len(one) > _MOST:
            chosen = room[one, two].argpartition(_MOST)[:_MOST]
            one, two = one[chosen], two[chosen]
        found = []
        for first, second in zip(one.tolist(), two.tolist(), strict=True):
            pair = self._pairs[first][second]
            distance, point, normal = self._checker.look_at(pair)
            room[first, second] = distance - _GAP
            if distance < _GAP:
                found.append((pair, distance, point, normal))
        return found


_AT_ORIGIN = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
