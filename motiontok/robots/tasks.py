"""What the solver minimises, each task as cost, spatial stiffness and spatial force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bvh.rotations import Array
from motiontok.robots import so3
from motiontok.robots.kinematics import Kinematics, Linearization, State
from motiontok.robots.targets import Targets

__all__ = ["BATCH", "FloorTask", "PoseTask", "Posture", "Quadratic", "Task", "quadratic"]


@dataclass(eq=False)
class Posture:
    """Joints are drawn to reference values: ``sum of weight^2 (reference - q)^2``.

    Attributes:
        reference: ``(frames, joints)`` rad or m.
        weight: ``(frames, joints)``, or anything that broadcasts to it.
    """

    reference: Array
    weight: Array

    def __post_init__(self) -> None:
        self.weight = np.broadcast_to(self.weight, self.reference.shape)

    def __getitem__(self, frames: Array | slice) -> Posture:
        return Posture(self.reference[frames], self.weight[frames])

    def cost(self, joints: Array) -> Array:
        """Cost ``(frames,)`` at joint values ``(frames, joints)``."""
        out: Array = (self.weight**2 * (self.reference - joints) ** 2).sum(-1)
        return out


class Task(Protocol):
    """One term of the cost, for a certain run of frames."""

    def __getitem__(self, frames: Array | slice) -> Task:
        """The same task for some of its frames."""
        ...

    def add(self, state: State, total: Linearization) -> None:
        """Add cost and derivatives at a state of the task's frames."""
        ...


@dataclass(eq=False)
class Quadratic:
    """All tasks to second order in the robot's own coordinates.

    Attributes:
        cost: ``(frames,)``.
        matrix: ``(frames, nv, nv)`` Gauss-Newton matrix.
        gradient: ``(frames, nv)`` descent direction, half the negative derivative.
    """

    cost: Array
    matrix: Array
    gradient: Array

    def __getitem__(self, frames: Array | slice) -> Quadratic:
        return Quadratic(self.cost[frames], self.matrix[frames], self.gradient[frames])

    def __setitem__(self, frames: Array | slice, other: Quadratic) -> None:
        self.cost[frames] = other.cost
        self.matrix[frames] = other.matrix
        self.gradient[frames] = other.gradient


BATCH = 128
"""Frames computed together: their arrays stay in the processor's cache."""


def quadratic(
    kinematics: Kinematics, tasks: Sequence[Task], q: Array, *, out: Quadratic | None = None
) -> Quadratic:
    """Sum of tasks at configurations ``q (frames, nq)``; ``out`` is memory to use again."""
    frames, nv = len(q), kinematics.nv
    if out is None or len(out.cost) < frames:
        out = Quadratic(np.empty(frames), np.empty((frames, nv, nv)), np.empty((frames, nv)))
    out = out[:frames]
    for start in range(0, frames, BATCH):
        part = slice(start, start + BATCH)
        state = kinematics.evaluate(q[part])
        total = kinematics.blank(len(state.positions))
        for task in tasks:
            (task if frames <= BATCH else task[part]).add(state, total)
        out.cost[part] = total.cost
        kinematics.normal_equations(
            state.jacobians, total, out=(out.matrix[part], out.gradient[part])
        )
    return out


class PoseTask:
    """Frames fixed to bodies follow target poses.

    Args:
        kinematics: of all bodies that the targets name.
        targets: the poses; each body at most once.
    """

    def __init__(self, kinematics: Kinematics, targets: Targets) -> None:
        self.kinematics = kinematics
        self.targets = targets
        which = [kinematics.body_index(b) for b in targets.bodies]
        # A slice is a view, a list of indices a copy.
        self._which: slice | list[int] = which
        if which == list(range(len(which))):
            self._which = slice(0, len(which))

    def __getitem__(self, frames: Array | slice) -> PoseTask:
        out = object.__new__(PoseTask)
        out.kinematics, out._which = self.kinematics, self._which
        out.targets = self.targets[frames]
        return out

    def poses(self, state: State) -> tuple[Array, Array]:
        """World rotations ``(frames, tracked, 3, 3)`` and positions of the tracked frames."""
        bodies = state.rotations[:, self._which]
        offsets = bodies @ self.targets.local_positions[..., None]
        positions = state.positions[:, self._which] + offsets[..., 0]
        return bodies @ self.targets.local_rotations, positions

    def cost(self, state: State) -> Array:
        """Cost ``(frames,)`` at a state of the task's frames."""
        total = self.kinematics.blank(len(state.positions))
        self.add(state, total)
        return total.cost

    def add(self, state: State, total: Linearization) -> None:
        """Add cost and derivatives at a state of the task's frames."""
        targets = self.targets
        rotations, points = self.poses(state)
        gap = targets.positions - points
        turn, angle = so3.log(targets.rotations @ rotations.swapaxes(-1, -2))
        wp, wr = targets.position_weights**2, targets.rotation_weights**2
        pull, twist = wp[..., None] * gap, wr[..., None] * turn
        total.cost += (pull * gap + twist * turn).sum((1, 2))
        total.force[:, self._which] += np.concatenate(
            [pull, so3.cross(points, pull) + twist], axis=-1
        )
        # A body with twist (v, w) about the origin moves a point p at v - [p] w, so the
        # position's share is wp [1, -[p]; [p], -[p]^2] with [p]^2 = p p^T - |p|^2 1.
        across, along = so3.log_metric(angle)
        lever = wp[..., None] * points
        outer = (along[..., None] * twist)[..., None] * turn[..., None, :]
        outer -= lever[..., None] * points[..., None, :]
        reach = (lever * points).sum(-1) + wr * across
        features = np.empty((*reach.shape, 14))
        features[..., 0], features[..., 1], features[..., 2:5] = wp, reach, lever
        features[..., 5:] = outer.reshape(*reach.shape, 9)
        stiffness = (features @ _STIFFNESS).reshape(*reach.shape, 6, 6)
        total.stiffness[:, self._which] += stiffness


def _stiffness_layout() -> Array:
    """``(14, 36)`` where a stiffness's wp, reach, lever and outer product go in its 6x6."""
    out = np.zeros((14, 6, 6))
    for axis in range(3):
        out[0, axis, axis] = out[1, 3 + axis, 3 + axis] = 1.0
    out[2:5, :3, 3:] = -so3.skew(np.eye(3))
    out[2:5, 3:, :3] = so3.skew(np.eye(3))
    for row in range(3):
        for column in range(3):
            out[5 + 3 * row + column, 3 + row, 3 + column] = 1.0
    return out.reshape(14, 36)


_STIFFNESS = _stiffness_layout()


class FloorTask:
    """Points fixed to bodies stay above the floor at z = 0.

    Args:
        kinematics: of all bodies named.
        bodies: Pinocchio joint index of each point's body.
        points: ``(points, 3)`` in the frames of their bodies, metres.
        weight: per metre below the floor.
        tolerance: metres below the floor that cost nothing.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        bodies: Sequence[int],
        points: Array,
        *,
        weight: float,
        tolerance: float = 0.001,
    ) -> None:
        self.weight = weight
        self.tolerance = tolerance
        self._which = [kinematics.body_index(b) for b in bodies]
        self._local = points
        self._collect = np.zeros((len(kinematics.bodies), len(self._which)))
        self._collect[self._which, range(len(self._which))] = 1.0

    def __getitem__(self, frames: Array | slice) -> FloorTask:
        return self

    def points(self, state: State) -> Array:
        """World positions ``(frames, points, 3)``."""
        turned = (state.rotations[:, self._which] @ self._local[..., None])[..., 0]
        out: Array = state.positions[:, self._which] + turned
        return out

    def add(self, state: State, total: Linearization) -> None:
        """Add cost and derivatives at a state."""
        points = self.points(state)
        depth = -self.tolerance - points[..., 2]
        if depth.max() <= 0.0:
            return
        weight = self.weight**2 * (depth > 0.0)
        pull = weight * depth
        total.cost += (pull * depth).sum(-1)
        # A point at p moves along z at (0, 0, 1, y, -x, 0) . (v, w).
        x, y = points[..., 0], points[..., 1]
        row = np.zeros((*depth.shape, 6))
        row[..., 2], row[..., 3], row[..., 4] = 1.0, y, -x
        total.force += self._collect @ (pull[..., None] * row)
        square = (weight[..., None] * row)[..., None] * row[..., None, :]
        frames, count = depth.shape
        summed = self._collect @ square.reshape(frames, count, 36)
        total.stiffness += summed.reshape(total.stiffness.shape)
