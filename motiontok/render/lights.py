"""The studio: three lights that stand around the camera, and the floor's colours.

One place for both ways of drawing, so that a picture without OpenGL looks like one with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh.rotations import Array

__all__ = [
    "AMBIENT_GROUND",
    "AMBIENT_SKY",
    "BACKGROUND",
    "FLOOR_REACH",
    "SHADOW",
    "Studio",
    "linear",
]

BACKGROUND = np.array([0.925, 0.935, 0.945])
"""sRGB colour behind everything, into which the floor fades."""

AMBIENT_GROUND = np.array([0.26, 0.25, 0.245])
AMBIENT_SKY = np.array([0.42, 0.45, 0.50])
"""Light from below and from above, linear."""

FLOOR_REACH = 14.0
"""Metres beyond the figures at which the floor has faded."""

SHADOW = 0.52
"""Share of the floor's light in full shadow."""

_KEY_COLOR = np.array([0.92, 0.88, 0.82])
_FILL_COLOR = np.array([0.16, 0.19, 0.24])
_RIM_COLOR = np.array([0.20, 0.22, 0.25])

# Yaw from the camera's side and elevation of each light, radians.
_KEY, _FILL, _RIM = (0.75, 0.95), (-1.0, 0.3), (2.7, 0.5)


@dataclass(frozen=True, eq=False)
class Studio:
    """Key light (casts shadows), fill and rim: unit vectors towards them ``(3,)``."""

    key: Array
    fill: Array
    rim: Array
    key_color: Array
    fill_color: Array
    rim_color: Array

    @classmethod
    def around(cls, yaw: float) -> Studio:
        """The studio of a camera that stands at a yaw (rad) from its target."""
        key, fill, rim = (_direction(yaw + side, up) for side, up in (_KEY, _FILL, _RIM))
        return cls(key, fill, rim, _KEY_COLOR, _FILL_COLOR, _RIM_COLOR)


def linear(srgb: Array) -> Array:
    """Linear colour of sRGB values, 0 to 1.

    A square stands in for sRGB's curve: pictures are encoded with a square root, which
    differs little and costs much less on software OpenGL.
    """
    out: Array = np.asarray(srgb) ** 2
    return out


def _direction(yaw: float, elevation: float) -> Array:
    flat = np.cos(elevation)
    return np.array([flat * np.cos(yaw), flat * np.sin(yaw), np.sin(elevation)])
