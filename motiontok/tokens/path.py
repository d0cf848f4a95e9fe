"""The root's path in features."""

from __future__ import annotations

import numpy as np

from bvh.motion import FPS
from bvh.rotations import Array
from motiontok.data import COLUMNS, Start

__all__ = ["root_path", "rotated"]

_TURN = COLUMNS["yaw_rate"].start
_VELOCITY = COLUMNS["velocity"]


def rotated(vectors: Array, angle: Array) -> Array:
    """Vectors ``(..., 2)`` on the floor turned to the left by angles ``(...)``, rad."""
    x, y = np.moveaxis(vectors, -1, 0)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def root_path(features: Array, pose: Start) -> tuple[Array, Array]:
    """Positions ``(..., frames, 2)`` and headings ``(..., frames)`` that follow ``pose``.

    Args:
        features: ``(..., frames, 203)`` raw.
        pose: of the frame before the first one.
    """
    yaw = pose.yaw + np.cumsum(features[..., _TURN], axis=-1) / FPS
    step = rotated(features[..., _VELOCITY] / FPS, yaw)
    return np.cumsum(step, axis=-2) + [pose.x, pose.y], yaw
