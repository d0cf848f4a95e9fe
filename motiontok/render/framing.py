"""How far a camera must move for whole figures to be in its picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bvh.rotations import Array
from motiontok.render.actors import Actor, moment

__all__ = ["Needs", "figure_points", "needs"]

_MARGIN = 0.97  # of the picture


@dataclass(frozen=True, eq=False)
class Needs:
    """Shifts of a camera's target with which all points are in its picture.

    Attributes:
        low: ``(times, 2)`` least shift, metres: to the right, and upwards along the world's Z.
        high: ``(times, 2)`` largest; below ``low`` where the camera is too near.
    """

    low: Array
    high: Array


def figure_points(actors: Sequence[Actor], times: Array) -> Array:
    """Corners of the boxes around all parts: ``(times, points, 3)``, world, metres."""
    found = []
    for actor in actors:
        parts = actor.meshes(fine=False)
        boxes = np.array([_box(part.vertices) for part in parts]).reshape(-1, 8, 3)
        poses = np.array([actor.poses(moment(actor, t)) for t in times])
        turned = np.einsum("tpij,pkj->tpki", poses[..., :3, :3], boxes)
        found.append((turned + poses[..., None, :3, 3]).reshape(len(times), -1, 3))
    return np.concatenate(found, axis=1)


def needs(
    points: Array,
    targets: Array,
    yaws: Array,
    *,
    elevation: float,
    distance: float,
    slopes: Array,
    below: float = 0.0,
    above: float = 0.0,
) -> Needs:
    """What a camera needs at some times.

    Args:
        points: ``(times, points, 3)``, see :func:`figure_points`.
        targets: ``(times, 3)`` looked at.
        yaws: ``(times,)`` direction from the target to the camera, rad.
        elevation: rad, of the camera over the target.
        distance: from the camera to the target, metres.
        slopes: ``(2,)`` half the picture's width and height at a distance of one.
        below: share of the picture's height, at its lower edge, where no figure should be.
        above: the same at its upper edge.
    """
    c, s, ce, se = np.cos(yaws), np.sin(yaws), np.cos(elevation), np.sin(elevation)
    back = np.stack([c * ce, s * ce, np.full_like(c, se)], axis=-1)
    right = np.stack([-s, c, np.zeros_like(c)], axis=-1)
    up = np.cross(back, right)
    seen = points - targets[:, None]
    depth = distance - np.einsum("tpi,ti->tp", seen, back)
    aside, high = (np.einsum("tpi,ti->tp", seen, axis) for axis in (right, up))
    wide, tall = _MARGIN * slopes
    floor, top = tall * (1.0 - 2.0 * below), tall * (1.0 - 2.0 * above)
    # A target that rises takes the camera with it: points sink and come nearer to its axis.
    least = [aside - wide * depth, (high - top * depth) / (ce + top * se)]
    most = [aside + wide * depth, (high + floor * depth) / (ce - floor * se)]
    return Needs(
        low=np.stack([value.max(axis=1) for value in least], axis=1),
        high=np.stack([value.min(axis=1) for value in most], axis=1),
    )


def _box(vertices: Array) -> Array:
    ends = np.stack([vertices.min(axis=0), vertices.max(axis=0)])
    corners = np.stack(np.meshgrid(*ends.T, indexing="ij"), axis=-1)
    return corners.reshape(8, 3)
