"""Units, and the world axes of a clip whose up axis is known."""

from __future__ import annotations

import numpy as np

from bvh.errors import BVHError
from bvh.normalizer.up_axis import UP_AXES
from bvh.remarks import remark
from bvh.rotations import Array, from_matrix

__all__ = ["UNITS", "check_unit", "find_scale", "world_from_source"]

UNITS: dict[str, float] = {
    "mm": 0.001,
    "cm": 0.01,
    "inch": 0.0254,
    "cmu": 0.0254 / 0.45,
    "dm": 0.1,
    "foot": 0.3048,
    "m": 1.0,
}
"""Metres per unit. CMU's motions (and cgspeed's BVH files) count 0.45 units an inch."""

_USUAL = ("cm", "m", "mm")
_RARE = {"dm": "decimetres", "foot": "feet"}
_USUAL_WITHIN = 1.9  # times or parts of an adult: a child of 1.05 m, a giant of 3.3 m
_WITHIN = 1.7

_BODY = 1.45
"""Thigh, shin and hips-to-head length of an adult, metres, summed along the bones."""

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


def find_scale(body: float) -> tuple[float, str]:
    """Metres per unit and the unit's name, from a body length in source units.

    A unit that nearly all files have is taken even if the body is then a child, and another unit
    would make it an adult.
    """
    ratio = {name: float(np.exp(abs(np.log(body * unit / _BODY)))) for name, unit in UNITS.items()}
    usual = min(_USUAL, key=lambda n: ratio[n])
    if ratio[usual] < _USUAL_WITHIN:
        return UNITS[usual], usual
    name = min(ratio, key=lambda n: ratio[n])
    if ratio[name] > _WITHIN:
        return _BODY / body, "unknown"
    return UNITS[name], name


def check_unit(unit: str) -> tuple[str, ...]:
    """A line on a unit that :func:`find_scale` had to guess; or none."""
    if unit == "unknown":
        return (remark("unit", "unit not recognised; scaled to a body of average size"),)
    if unit in _RARE:
        return (remark("unit", f"taken for {_RARE[unit]}, by the size of the body alone"),)
    return ()
