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

__all__ = ["FloorTask", "PoseTask", "Posture", "Task", "linearize"]


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

    def linearize(self, state: State) -> Linearization:
        """Cost and derivatives at a state of the task's frames."""
        ...


def linearize(tasks: Sequence[Task], state: State) -> Linearization:
    """Sum of the tasks at a state."""
    total = tasks[0].linearize(state)
    for task in tasks[1:]:
        total += task.linearize(state)
    return total


class PoseTask:
    """Frames fixed to bodies follow target poses."""

    def __init__(self, kinematics: Kinematics, targets: Targets) -> None:
        self.kinematics = kinematics
        self.targets = targets
        self._which = [kinematics.body_index(b) for b in targets.bodies]

    def __getitem__(self, frames: Array | slice) -> PoseTask:
        return PoseTask(self.kinematics, self.targets[frames])

    def poses(self, state: State) -> tuple[Array, Array]:
        """World rotations ``(frames, tracked, 3, 3)`` and positions of the tracked frames."""
        bodies = state.rotations[:, self._which]
        positions = state.positions[:, self._which] + np.einsum(
            "tkij,kj->tki", bodies, self.targets.local_positions
        )
        return bodies @ self.targets.local_rotations, positions

    def linearize(self, state: State) -> Linearization:
        """Cost and derivatives at a state of the task's frames."""
        targets = self.targets
        rotations, positions = self.poses(state)
        position = targets.positions - positions
        rotation, angle = so3.log(targets.rotations @ rotations.swapaxes(-1, -2))
        wp, wr = targets.position_weights**2, targets.rotation_weights**2
        cost = (wp * np.einsum("tki,tki->tk", position, position)).sum(-1)
        cost += (wr * angle**2).sum(-1)

        slope = so3.inverse_right_jacobian(rotation, angle)
        pull = wp[..., None] * position
        turn = (slope.swapaxes(-1, -2) @ (wr[..., None] * rotation)[..., None])[..., 0]
        stiffness, force = point_terms(positions, wp[..., None, None] * np.eye(3), pull)
        stiffness[..., 3:, 3:] += wr[..., None, None] * (slope.swapaxes(-1, -2) @ slope)
        force[..., 3:] += turn
        return gather(self.kinematics, self._which, cost, stiffness, force)


class FloorTask:
    """Points fixed to bodies stay above z = 0."""

    def __init__(
        self, kinematics: Kinematics, bodies: Sequence[int], points: Array, *, weight: float
    ) -> None:
        """Args: ``points (points, 3)`` in the frames of ``bodies``; weight per metre."""
        self.kinematics = kinematics
        self.bodies = tuple(bodies)
        self.local = points
        self.weight = weight
        self._which = [kinematics.body_index(b) for b in bodies]

    def __getitem__(self, frames: Array | slice) -> FloorTask:
        return self

    def points(self, state: State) -> Array:
        """World positions ``(frames, points, 3)``."""
        turned = np.einsum("tkij,kj->tki", state.rotations[:, self._which], self.local)
        out: Array = state.positions[:, self._which] + turned
        return out

    def linearize(self, state: State) -> Linearization:
        """Cost and derivatives at a state."""
        points = self.points(state)
        depth = np.maximum(-points[..., 2], 0.0)
        weight = self.weight**2 * (depth > 0)
        metric = np.zeros((*points.shape, 3))
        metric[..., 2, 2] = weight
        pull = np.zeros_like(points)
        pull[..., 2] = weight * depth
        cost = (weight * depth**2).sum(-1)
        stiffness, force = point_terms(points, metric, pull)
        return gather(self.kinematics, self._which, cost, stiffness, force)


def point_terms(points: Array, metric: Array, pull: Array) -> tuple[Array, Array]:
    """Spatial stiffness ``(..., 6, 6)`` and force ``(..., 6)`` of springs at points.

    A body with twist ``(v, w)`` about the origin moves a point ``p`` at ``v - [p] w``.

    Args:
        points: ``(..., 3)`` world positions.
        metric: ``(..., 3, 3)`` stiffness of each spring.
        pull: ``(..., 3)`` force on each point.
    """
    arm = so3.skew(points)
    lever = metric @ arm
    stiffness = np.empty((*points.shape[:-1], 6, 6))
    stiffness[..., :3, :3] = metric
    stiffness[..., :3, 3:] = -lever
    stiffness[..., 3:, :3] = -lever.swapaxes(-1, -2)
    stiffness[..., 3:, 3:] = arm.swapaxes(-1, -2) @ lever
    force = np.concatenate([pull, (arm @ pull[..., None])[..., 0]], axis=-1)
    return stiffness, force


def gather(
    kinematics: Kinematics, which: Sequence[int], cost: Array, stiffness: Array, force: Array
) -> Linearization:
    """Sum the terms ``(frames, terms, ...)`` of each body."""
    bodies = len(kinematics.bodies)
    if list(which) == list(range(bodies)):
        return Linearization(cost, stiffness, force)
    collect = np.zeros((bodies, len(which)))
    collect[which, range(len(which))] = 1.0
    frames = len(cost)
    summed = collect @ stiffness.reshape(frames, len(which), 36)
    return Linearization(cost, summed.reshape(frames, bodies, 6, 6), collect @ force)
