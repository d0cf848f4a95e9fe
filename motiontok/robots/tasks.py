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


BATCH = 64
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
            task[part].add(state, total)
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
        positions = state.positions[:, self._which] + np.einsum(
            "tkij,kj->tki", bodies, self.targets.local_positions
        )
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
        pull = wp[..., None] * gap
        total.cost += np.einsum("tki,tki->t", pull, gap) + (wr * angle**2).sum(-1)

        # A body with twist (v, w) about the origin moves a point p at v - [p] w.
        arm = so3.skew(points)
        lever = wp[..., None, None] * arm
        force, stiffness = total.force, total.stiffness
        force[:, self._which, :3] += pull
        force[:, self._which, 3:] += (arm @ pull[..., None])[..., 0] + wr[..., None] * turn
        spin = wr[..., None, None] * so3.log_metric(turn, angle)
        spin -= arm @ lever
        stiffness[:, self._which, :3, 3:] -= lever
        stiffness[:, self._which, 3:, :3] += lever
        stiffness[:, self._which, 3:, 3:] += spin
        for axis in range(3):
            stiffness[:, self._which, axis, axis] += wp


class FloorTask:
    """Points fixed to bodies stay above z = 0.

    Args:
        kinematics: of all bodies named.
        bodies: Pinocchio joint index of each point's body.
        points: ``(points, 3)`` in the frames of their bodies, metres.
        weight: per metre below the floor.
    """

    def __init__(
        self, kinematics: Kinematics, bodies: Sequence[int], points: Array, *, weight: float
    ) -> None:
        self.weight = weight
        self._which = [kinematics.body_index(b) for b in bodies]
        self._local = points

    def __getitem__(self, frames: Array | slice) -> FloorTask:
        return self

    def points(self, state: State) -> Array:
        """World positions ``(frames, points, 3)``."""
        turned = np.einsum("tkij,kj->tki", state.rotations[:, self._which], self._local)
        out: Array = state.positions[:, self._which] + turned
        return out

    def add(self, state: State, total: Linearization) -> None:
        """Add cost and derivatives at a state."""
        height = state.positions[:, self._which, 2] + np.einsum(
            "tki,ki->tk", state.rotations[:, self._which, 2], self._local
        )
        frames, which = np.nonzero(height < 0.0)
        if not len(frames):
            return
        points = self.points(state)[frames, which]
        bodies = np.array(self._which)[which]
        weight = self.weight**2
        # The velocity along z of a point at p is (0, 0, 1, y, -x, 0) . (v, w).
        row = np.zeros((len(frames), 6))
        row[:, 2], row[:, 3], row[:, 4] = 1.0, points[:, 1], -points[:, 0]
        np.add.at(total.cost, frames, weight * points[:, 2] ** 2)
        np.add.at(total.force, (frames, bodies), -weight * points[:, 2, None] * row)
        np.add.at(total.stiffness, (frames, bodies), weight * row[:, :, None] * row[:, None, :])
