"""How far convex shapes reach in any direction, by table: an upper bound for many at once.

On a face of a cube the support function of a shape, the farthest that it reaches along a
direction, is convex, since it is a maximum of linear functions. Over a small square of the
face it is therefore nowhere above the largest of the square's four corners.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bvh.rotations import Array

__all__ = ["SupportTable"]

_CELLS = 16  # along each edge of the cube
_OTHERS = np.array([[1, 2], [2, 0], [0, 1]])


class SupportTable:
    """Upper bounds of the reach of shapes.

    Args:
        shapes: points ``(points, 3)`` that span each shape, about a place of their own.
        slack: ``(shapes,)`` metres that a shape may reach beyond its points' hull.
    """

    def __init__(self, shapes: Sequence[Array], slack: Array) -> None:
        grid = np.linspace(-1.0, 1.0, _CELLS + 1, dtype=np.float32)
        u, v = (c.ravel() for c in np.meshgrid(grid, grid, indexing="ij"))
        corners = np.empty((3, 2, len(u), 3), dtype=np.float32)
        for axis, (first, second) in enumerate(_OTHERS.tolist()):
            corners[axis, :, :, axis] = [[-1.0], [1.0]]
            corners[axis, :, :, first], corners[axis, :, :, second] = u, v
        self._largest = np.empty((len(shapes), 3, 2, _CELLS, _CELLS), dtype=np.float32)
        for points, extra, out in zip(shapes, slack.tolist(), self._largest, strict=True):
            reach = (corners.reshape(-1, 3) @ points.T.astype(np.float32)).max(axis=1)
            # A corner's direction is up to the square root of 3 long.
            reach += 2.0 * extra + 1e-6
            reach = reach.reshape(3, 2, _CELLS + 1, _CELLS + 1)
            reach = np.maximum(reach[..., :-1, :], reach[..., 1:, :])
            out[:] = np.maximum(reach[..., :-1], reach[..., 1:])

    def reach(self, shapes: Array, directions: Array) -> Array:
        """At most how far shapes ``(n,)`` reach along ``directions (n, 3)``, metres.

        Directions are of unit length, or nought: then nothing is known, and no reach told.
        """
        every = np.arange(len(shapes))
        axis = np.abs(directions).argmax(axis=1)
        along = directions[every, axis]
        size = np.maximum(np.abs(along), 1e-9)
        ahead = (along > 0.0).astype(int)
        places = [0.5 * _CELLS * (directions[every, o] / size + 1.0) for o in _OTHERS[axis].T]
        # A direction at the far edge is of the last square.
        u, v = (np.minimum(place, _CELLS - 1).astype(int) for place in places)
        out: Array = size * self._largest[shapes, axis, ahead, u, v]
        return out
