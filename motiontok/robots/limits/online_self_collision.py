"""Self-collision of a stream: the few pairs of bodies that may be close now.

The counterpart for whole trajectories is :mod:`~motiontok.robots.limits.self_collision_task`.
How far apart two shapes were when they were last looked at, less what both have moved since, is a
lower bound of their distance. A pair is looked at again when that bound is used up (conservative
advancement: Mirtich 1996) and its bounding spheres meet, so most frames look at a few of hundreds
of pairs. Two shapes hardly ever move straight towards each other: half of the bound does, and finds
as much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pinocchio as pin

from bvh.rotations import Array, cross
from motiontok.robots.kinematics.kinematics import State
from motiontok.robots.limits.self_collision import SelfCollision
from motiontok.robots.limits.self_collision_task import GAP
from motiontok.robots.solver.tasks import NormalEquations

__all__ = ["OnlineSelfCollision", "Overlaps"]

_WEIGHT = 600.0  # per metre; as stiff as for whole motions it bounces
_SHARE = 0.5  # of what two shapes moved that may have brought them closer
_MOST = 12  # pairs looked at in a frame, those with the least room first
_AT_ORIGIN = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs whose bodies overlap, or nearly.

    Attributes:
        pairs: ``(n,)`` of the checker's.
        distances: ``(n,)`` metres, negative where they overlap.
        points: ``(n, 3)`` on the first bodies, in the world.
        normals: ``(n, 3)`` in which direction the first bodies must move to part them.
    """

    pairs: Array
    distances: Array
    points: Array
    normals: Array


class OnlineSelfCollision:
    """Keeps a robot's bodies apart, frame by frame.

    Args:
        checker: of the robot; it is left as it is.
    """

    def __init__(self, checker: SelfCollision) -> None:
        self._checker = checker.separate()
        first, second = checker.pairs.T
        middles, self._reach = checker.spheres
        self._reaches = (self._reach[:, None] + self._reach + GAP) ** 2
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
        self._centres: Array = np.zeros((len(self._reach), 3))
        # At least how far apart two shapes are, without the gap; infinite if that is no matter.
        self._room = self._unknown.copy()

    def add(self, found: Overlaps, state: State, total: NormalEquations, frame: int) -> None:
        """Add what parts the bodies of a frame, of all degrees of freedom.

        Args:
            found: see :meth:`overlapping`.
            state: of all frames.
            total: to add to.
            frame: which of them.
        """
        short = _WEIGHT * (GAP - found.distances)
        wrenches = np.empty((len(short), 6))
        wrenches[:, :3] = found.normals
        wrenches[:, 3:] = cross(found.points, found.normals)
        rows = wrenches @ state.jacobians[frame].T
        rows *= _WEIGHT * self._parts[found.pairs]
        total.cost[frame] += short @ short
        total.matrix[frame] += rows.T @ rows
        total.gradient[frame] += short @ rows

    def overlapping(self, q: Array) -> Overlaps | None:
        """Pairs whose bodies overlap, or nearly, in the stream's next configuration, if any.

        Args:
            q: ``(model.nq,)`` of all joints.
        """
        seen = q.copy()  # from the base, so that a walk moves nothing
        seen[:7] = _AT_ORIGIN
        placed = self._checker.place(seen).reshape(-1, 4, 3)
        middles = np.einsum("sk,ski->si", self._middle, placed)
        room = self._room
        if self._placed is not None:
            turns = (placed[:, :3] - self._placed[:, :3]).reshape(-1, 9)
            went = middles - self._centres
            # A turn's norm as a matrix is 2 sqrt(2) sin(angle / 2); points move by a sphere's
            # radius times 2 sin(angle / 2) at most.
            moved = (_SHARE * self._reach) * np.sqrt(0.5 * np.einsum("si,si->s", turns, turns))
            moved += _SHARE * np.sqrt(np.einsum("si,si->s", went, went))
            room -= moved
            room -= moved[:, None]
        self._placed, self._centres = placed, middles
        squares = np.einsum("si,si->s", middles, middles)
        apart = middles @ (-2.0 * middles.T)
        apart += squares
        apart += squares[:, None]
        one, two = ((room < 0.0) & (apart < self._reaches)).nonzero()
        if len(one) > _MOST:
            chosen = room[one, two].argpartition(_MOST)[:_MOST]
            one, two = one[chosen], two[chosen]
        found, look_at = [], self._checker.look_at
        for first, second in zip(one.tolist(), two.tolist(), strict=True):
            pair = self._pairs[first][second]
            result = look_at(pair)
            distance = result.min_distance
            room[first, second] = distance - GAP
            if distance < GAP:
                found.append((pair, distance, result.getNearestPoint1().copy(), -result.normal))
        if not found:
            return None
        turn = pin.Quaternion(q[3:7]).toRotationMatrix().T
        return Overlaps(
            np.array([pair for pair, _, _, _ in found]),
            np.array([distance for _, distance, _, _ in found]),
            np.array([point for _, _, point, _ in found]) @ turn + q[:3],
            np.array([normal for _, _, _, normal in found]) @ turn,
        )
