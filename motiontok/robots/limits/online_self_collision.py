"""Self-collision of a stream: the few pairs of bodies that may be close now.

The counterpart for whole trajectories is :mod:`~motiontok.robots.limits.self_collision_task`.
How far apart two shapes were when they were last looked at, less what the joints between them have
moved them since, is a lower bound of their distance (conservative advancement: Mirtich 1996). When
that bound is used up, their bounding capsules are looked at, and if these meet the shapes: in most
frames ten capsules and one or two of hundreds of pairs. Two shapes hardly ever move straight
towards each other: half of the bound does, and finds as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pinocchio as pin

from bvh.rotations import Array, cross
from motiontok.robots.contacts.reach import axis_of
from motiontok.robots.kinematics.kinematics import Kinematics, PlacedState, State
from motiontok.robots.limits.self_collision import SelfCollision
from motiontok.robots.limits.self_collision_task import GAP
from motiontok.robots.solver.tasks import NormalEquations

__all__ = ["OnlineSelfCollision", "Overlaps"]

_WEIGHT = 600.0  # per metre; as stiff as for whole motions it bounces
_SHARE = 0.5  # of what two shapes moved that may have brought them closer
_MOST = 12  # pairs looked at in a frame, those with the least room first
_TINY = 1e-12
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
        kinematics: of all of its bodies.

    Attributes:
        looked: pairs of shapes looked at in the last frame.
    """

    def __init__(self, checker: SelfCollision, kinematics: Kinematics) -> None:
        self._checker = checker.separate()
        self._pairs = checker.pairs.T
        shapes = checker.geometry.geometryObjects
        self._bodies = np.array([kinematics.body_index(shape.parentJoint) for shape in shapes])
        middles, halves, radii = checker.capsules
        # Of a body's axes and origin those of a capsule's half vector and middle.
        self._capsules = np.zeros((len(shapes), 2, 4))
        for capsule, shape, middle, half in zip(
            self._capsules, shapes, middles, halves, strict=True
        ):
            capsule[0, :3] = shape.placement.rotation @ half
            capsule[1] = [*shape.placement.act(middle), 1.0]
        self._thick = radii[self._pairs[0]] + radii[self._pairs[1]]
        first, second = (self._levers(kinematics.model, which) for which in self._pairs)
        # What moves the first body and not the second parts or joins them, and the other way round.
        self._parts = np.sign(first) - np.sign(second)
        # What moves both does neither.
        levers = np.where(self._parts, _SHARE * (first + second), 0.0)
        self._moves: Array = levers[:, 6:].copy()
        self.reset()

    def _levers(self, model: Any, which: Array) -> Array:
        """How far a unit of each degree of freedom moves points of shapes at most ``(n, nv)``."""
        out = np.zeros((len(self._capsules), model.nv))
        reaches = np.linalg.norm(self._capsules[:, 1, :3], axis=1)
        reaches += np.linalg.norm(self._capsules[:, 0, :3], axis=1) + self._checker.capsules[2]
        shapes = self._checker.geometry.geometryObjects
        for row, shape, reach in zip(out, shapes, reaches.tolist(), strict=True):
            joint = shape.parentJoint
            while joint:
                place = model.joints[joint].idx_v
                if place < 6:
                    row[:6] = 1.0
                    break
                slides = not np.any(axis_of(model, joint))
                row[place] = 1.0 if slides else reach
                reach += float(np.linalg.norm(model.jointPlacements[joint].translation))
                if slides:
                    at = model.joints[joint].idx_q
                    ends = model.lowerPositionLimit[at], model.upperPositionLimit[at]
                    reach += float(np.abs(ends).max())
                joint = model.parents[joint]
        return out[which]

    def reset(self) -> None:
        """Forget the stream."""
        self._before: Array | None = None
        self.looked = 0
        # At least how far apart two shapes are, without the gap.
        self._room = np.full(len(self._thick), -1.0)

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

    def overlapping(self, q: Array, state: PlacedState, frame: int) -> Overlaps | None:
        """Pairs whose bodies overlap, or nearly, in the stream's next configuration, if any.

        Args:
            q: ``(model.nq,)`` of all joints.
            state: of all frames.
            frame: which of them is that of ``q``.
        """
        room = self._room
        if self._before is not None:
            room -= self._moves @ np.abs(q[7:] - self._before)
        self._before = q[7:].copy()
        self.looked = 0
        due = (room < 0.0).nonzero()[0]
        if not len(due):
            return None
        between = self._between(state.rows[frame], due)
        room[due] = between
        close = due[between < 0.0]
        if not len(close):
            return None
        if len(close) > _MOST:
            close = close[room[close].argpartition(_MOST)[:_MOST]]
        self.looked = len(close)
        seen = q.copy()  # from the base, so that a walk does not change the answers
        seen[:7] = _AT_ORIGIN
        self._checker.place(seen)
        found, look_at = [], self._checker.look_at
        for pair in close.tolist():
            result = look_at(pair)
            distance = result.min_distance
            room[pair] = distance - GAP
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

    def _between(self, rows: Array, pairs: Array) -> Array:
        """How far apart capsules are ``(n,)``, without the gap.

        Ericson, Real-Time Collision Detection (2005), section 5.1.9.
        """
        capsules = self._capsules @ rows.take(self._bodies, axis=0)
        one, two = capsules.take(self._pairs[:, pairs], axis=0)
        ways = np.empty((len(pairs), 3, 3))  # half vectors, and from middle to middle
        ways[:, 0], ways[:, 1] = one[:, 0], two[:, 0]
        np.subtract(one[:, 1], two[:, 1], out=ways[:, 2])
        (a, b, c), (_, e, f), _ = (ways @ ways.swapaxes(1, 2)).T
        along = np.ones((len(pairs), 1, 3))
        s = (b * f - c * e) / np.maximum(a * e - b * b, _TINY)
        s = np.minimum(np.maximum(s, -1.0), 1.0)
        t = (b * s + f) / np.maximum(e, _TINY)
        t = np.minimum(np.maximum(t, -1.0), 1.0)
        s = (b * t - c) / np.maximum(a, _TINY)
        np.minimum(np.maximum(s, -1.0), 1.0, out=along[:, 0, 0])
        np.negative(t, out=along[:, 0, 1])
        gap = (along @ ways)[:, 0]
        out: Array = np.sqrt(np.einsum("ni,ni->n", gap, gap))
        out -= self._thick[pairs]
        out -= GAP
        return out
