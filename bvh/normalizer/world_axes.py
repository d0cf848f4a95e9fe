"""From the axes of a clip whose up axis is known to world axes."""

from __future__ import annotations

import numpy as np

from bvh.errors import BVHError
from bvh.normalizer.up_axis import UP_AXES
from bvh.rotations import Array, from_matrix

__all__ = ["world_from_source"]

# Rows are the canonical X (forward), Y (left), Z (up) in source axes.
_CYCLE = {
    "z": np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "y": np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    "x": np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]),
}
_OVER = np.diag([1.0, -1.0, -1.0])


def world_from_source(up: str) -> Array:
    """Rotation (4,) from source axes to Z-up world axes, for one of :data:`UP_AXES`.

    ``z`` changes nothing; ``y`` maps source Z to forward and X to left, so a clip
    that faces +Z (the custom of Y-up files) faces +X; a negative axis is turned over
    about forward.
    """
    if up not in UP_AXES:
        raise BVHError(f"up axis must be one of {', '.join(UP_AXES)}, got {up!r}")
    matrix = _CYCLE[up[-1]]
    return from_matrix(_OVER @ matrix if up[0] == "-" else matrix)
