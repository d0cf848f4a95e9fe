"""Up axis, unit and floor of a clip, from the body's geometry."""

from __future__ import annotations

import numpy as np

from bvh.errors import BVHError
from bvh.normalizer.geometry import quantile
from bvh.rotations import Array, from_matrix

__all__ = ["UNITS", "UP_AXES", "find_scale", "find_up", "world_from_source"]

UNITS: dict[str, float] = {"mm": 0.001, "cm": 0.01, "inch": 0.0254, "cmu": 0.0254 / 0.45, "m": 1.0}
"""Metres per unit. CMU's motions (and cgspeed's BVH files) count 0.45 units an inch."""

_USUAL = ("cm", "m", "mm")
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
UP_AXES: tuple[str, ...] = ("x", "y", "z", "-x", "-y", "-z")
"""Names of the six up axes."""


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


def find_up(hips: Array, chest: Array, feet: Array, points: Array, size: float) -> str:
    """The up axis: where trunk and legs point, and where the body rests on one level.

    The second tells crawling from standing: whatever a body does on the ground, its
    lowest point stays level, while along the other axes it moves or sways.

    Args:
        hips: ``(frames, 3)``.
        chest: ``(frames, 3)``.
        feet: ``(frames, 2, 3)``.
        points: ``(frames, n, 3)`` all joints.
        size: length of the body, in the same unit.
    """
    body = (_unit(chest - hips) + _unit(hips - feet.mean(axis=1))) / 2
    upright = np.mean(body, axis=0)
    by_joint = np.ascontiguousarray(points.swapaxes(0, 1))  # of few in a row numpy is slow
    ends = np.stack([by_joint.min(axis=0), by_joint.max(axis=0)], axis=1)
    spread = (quantile(ends, 0.9) - quantile(ends, 0.1)) / size
    scores = np.concatenate([upright - spread[0], -upright - spread[1]])
    return UP_AXES[int(np.argmax(scores))]


def find_scale(body: float) -> tuple[float, str]:
    """Metres per unit and the unit's name, from a body length in source units.

    A unit that nearly all files have is taken even if it makes a child of the body where
    another would make an adult.
    """
    ratio = {name: float(np.exp(abs(np.log(body * unit / _BODY)))) for name, unit in UNITS.items()}
    usual = min(_USUAL, key=lambda n: ratio[n])
    if ratio[usual] < _USUAL_WITHIN:
        return UNITS[usual], usual
    name = min(ratio, key=lambda n: ratio[n])
    if ratio[name] > _WITHIN:
        return _BODY / body, "unknown"
    return UNITS[name], name


def _unit(v: Array) -> Array:
    out: Array = v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)
    return out
