"""The outermost points of a robot's bodies, which can touch the ground."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bvh.rotations import Array
from motiontok.robots.kinematics.kinematics import Kinematics, State
from motiontok.robots.model.calibration import Calibration
from motiontok.robots.model.geometry import points_of

__all__ = ["Cloud", "Outline", "outline_of", "soles_of"]

_GOLDEN = np.pi * (3.0 - np.sqrt(5.0))


@dataclass(frozen=True, eq=False)
class Cloud:
    """The points of one body, and what is summed over those of them that are below the ground.

    Attributes:
        body: Pinocchio joint index.
        points: ``(n, 3)`` in the body's frame, metres.
        middle, radius: of a ball around them ``(3,)``, metres.
        moments: ``(n, 20)`` of each point (p, 1) its square ``(p, 1) (p, 1)^T``, and itself.
    """

    body: int
    points: Array
    middle: Array
    radius: float
    moments: Array


@dataclass(frozen=True, eq=False)
class Outline:
    """Points fixed to bodies, few and far out.

    Attributes:
        bodies: ``(points,)`` Pinocchio joint index of each point's body.
        points: ``(points, 3)`` in the frames of their bodies, metres.
    """

    bodies: Array
    points: Array

    def of(self, body: int) -> Array:
        """The points ``(n, 3)`` of one body."""
        out: Array = self.points[self.bodies == body]
        return out

    @cached_property
    def clouds(self) -> tuple[Cloud, ...]:
        """The points body by body, ascending."""
        return tuple(_cloud(body, self.of(body)) for body in np.unique(self.bodies).tolist())

    def heights(self, kinematics: Kinematics, state: State) -> Array:
        """Of all points above the ground, ``(frames, points)``."""
        which = [kinematics.body_index(b) for b in self.bodies.tolist()]
        out: Array = np.einsum("tpi,pi->tp", state.rotations[:, which, 2], self.points)
        return out + state.positions[:, which, 2]


def _cloud(body: int, points: Array) -> Cloud:
    middle = points.mean(axis=0)
    radius = float(np.linalg.norm(points - middle, axis=1).max())
    whole = np.column_stack([points, np.ones(len(points))])
    squares = (whole[:, :, None] * whole[:, None]).reshape(-1, 16)
    return Cloud(body, points, middle, radius, np.column_stack([squares, whole]))


def soles_of(calibration: Calibration) -> Outline:
    """The corners of both soles."""
    bodies, points = [], []
    for foot, sole in calibration.soles.items():
        k = calibration.index(foot)
        bodies.append(np.full(len(sole.corners), calibration.bodies[k]))
        points.append(sole.corners @ calibration.rotations[k].T + calibration.translations[k])
    return Outline(np.concatenate(bodies), np.concatenate(points))


def outline_of(geometry: Any, *, directions: int) -> Outline:
    """The farthest point of every body in each of a number of directions.

    The radius of a ball of radius r comes out short by at most ``2 r / directions``: 1 mm for a
    hand and 100 directions.

    Args:
        geometry: Pinocchio geometry model.
        directions: spread evenly over the sphere.
    """
    clouds: dict[int, list[Array]] = {}
    for shape in geometry.geometryObjects:
        place = shape.placement
        cloud = points_of(shape) @ place.rotation.T + place.translation
        clouds.setdefault(int(shape.parentJoint), []).append(cloud)
    ways = _sphere(directions)
    bodies, points = [np.zeros(0, dtype=int)], [np.zeros((0, 3))]
    for body, parts in sorted(clouds.items()):
        cloud = np.concatenate(parts)
        chosen = np.unique((cloud @ ways.T).argmax(axis=0))
        bodies.append(np.full(len(chosen), body))
        points.append(cloud[chosen])
    return Outline(np.concatenate(bodies), np.concatenate(points))


def _sphere(count: int) -> Array:
    """Unit vectors ``(count, 3)`` along a spiral from pole to pole, evenly spread."""
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    angle = _GOLDEN * np.arange(count)
    across = np.sqrt(1.0 - z * z)
    return np.stack([across * np.cos(angle), across * np.sin(angle), z], axis=-1)
