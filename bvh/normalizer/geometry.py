"""Small vector helpers of the normaliser."""

from __future__ import annotations

import numpy as np

from bvh.rotations import Array, cross, dot, from_matrix, length

__all__ = ["center", "frame", "mean_rotation", "perpendicular", "unit"]

_TINY = 1e-9
_ALIKE = 1e-5
_STEPS = 15


def unit(v: Array) -> Array:
    """``v`` ``(..., 3)`` at length one; zero stays zero."""
    out: Array = v / np.maximum(length(v), _TINY)
    return out


def center(v: Array) -> Array:
    """Geometric median (3,) of ``(n, 3)``: robust, and it turns with what it is taken of.

    The median of each coordinate would depend on the axes. Weiszfeld's iteration
    (Weiszfeld 1937), which needs no step where the vectors are all alike.
    """
    out: Array = v.mean(axis=0)
    for _ in range(_STEPS):
        away = length(v - out)[..., 0]
        if away.max() < _ALIKE:
            break
        weight = 1.0 / np.maximum(away, _ALIKE)
        out = weight @ v / weight.sum()
    return out


def perpendicular(v: Array, axis: Array) -> Array:
    """The part of ``v`` ``(..., 3)`` that is perpendicular to unit ``axis`` ``(..., 3)``."""
    out: Array = v - dot(v, axis)[..., None] * axis
    return out


def frame(primary: Array, secondary: Array, *, axes: str) -> Array:
    """Rotation (4,) taking ``primary`` exactly, ``secondary`` nearly, onto two canonical axes.

    Args:
        primary: (3,) direction in some local axes.
        secondary: (3,) direction; only its part perpendicular to ``primary`` counts.
        axes: the canonical axes they belong to, such as ``"zx"``.
    """
    first = unit(primary)
    second = unit(perpendicular(secondary, first))
    i, j = "xyz".index(axes[0]), "xyz".index(axes[1])
    rows = np.empty((3, 3))
    rows[i], rows[j] = first, second
    third = cross(first, second)
    rows[3 - i - j] = third if (j - i) % 3 == 1 else -third
    return from_matrix(rows)


def mean_rotation(q: Array) -> Array:
    """Chordal mean (4,) of rotations ``(n, 4)`` (Markley et al. 2007)."""
    out: Array = np.linalg.eigh(q.T @ q)[1][:, -1]
    return out if out[0] >= 0 else -out
