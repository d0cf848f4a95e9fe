"""Round solids in matte colours, of which mannequins are made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bvh.rotations import Array, between, to_matrix
from motiontok.render.actors import Part

__all__ = ["BODY", "JOINT", "LEFT", "RIGHT", "VISOR", "Color", "hull_of_spheres"]

Color = tuple[float, float, float]

BODY: Color = (0.83, 0.83, 0.81)
JOINT: Color = (0.30, 0.32, 0.36)
VISOR: Color = (0.13, 0.15, 0.19)
LEFT: Color = (0.93, 0.50, 0.26)
RIGHT: Color = (0.24, 0.55, 0.80)
"""Left is warm and right is cool, so that a mirrored or turned figure is seen at once."""

# Rounder than this (metres), a solid needs more triangles to look smooth.
_LARGE = 0.07


def hull_of_spheres(
    spheres: Sequence[tuple[Array, float]], color: Color, *, axis: Array, fine: bool = True
) -> Part:
    """Convex hull of spheres.

    Every direction of a ball is sent to the hull's point that lies farthest in it (its
    support point), whose normal is that very direction: so shading is exactly smooth.

    Args:
        spheres: centres ``(3,)`` and radii, metres.
        color: sRGB.
        axis: ``(3,)`` direction around which triangles are arranged; a limb's own.
        fine: with more triangles.
    """
    import trimesh

    largest = max(radius for _, radius in spheres)
    rings = (9 if largest > _LARGE else 6) + (4 if fine else 0)
    ball = trimesh.creation.uv_sphere(count=(rings, 2 * rings))
    # The ball's poles lie on the axis: a limb's sides are then straight strips.
    turn = to_matrix(between(np.array([0.0, 0.0, 1.0]), axis))
    normals = ball.vertices @ turn.T
    centers = np.array([center for center, _ in spheres])
    radii = np.array([radius for _, radius in spheres])
    winner = np.argmax(normals @ centers.T + radii, axis=1)
    return Part(
        vertices=centers[winner] + radii[winner, None] * normals,
        normals=normals,
        faces=np.asarray(ball.faces),
        colors=np.broadcast_to(np.asarray(color), normals.shape),
    )
