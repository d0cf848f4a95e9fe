"""The unit of a clip, by the size of its body."""

from __future__ import annotations

import numpy as np

from bvh.remarks import remark

__all__ = ["UNITS", "check_unit", "find_scale"]

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
