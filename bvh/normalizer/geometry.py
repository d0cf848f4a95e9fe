"""Small vector helpers of the normaliser."""

from __future__ import annotations

import numpy as np

from bvh.rotations import Array, cross, dot, from_matrix, length

__all__ = ["center", "frame", "mean_rotation", "median", "perpendicular", "quantile", "unit"]

_TINY = 1e-9
_ALIKE = 1e-5
_STEPS = 15


def unit(v: Array) -> Array:
    """``v`` ``(..., 3)`` at length one; zero stays zero."""
    out: Array = v / np.maximum(length(v), _TINY)
    return out


def center(v: Array) -> Array:
    """Geometric median (3,) of ``(n, 3)``: robust, and it turns with its points.

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


def quantile(values: Array, share: float) -> Array:
    """Quantiles over the first axis, linear between values; NumPy's take several times as long."""
    rows = np.ascontiguousarray(np.moveaxis(values, 0, -1))
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    rows = np.partition(rows, (low, high), axis=-1)
    out: Array = rows[..., low] + (place - low) * (rows[..., high] - rows[..., low])
    return out


def median(values: Array) -> Array:
    """Medians over the first axis."""
    return quantile(values, 0.5)


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
    first = primary / max(_TINY, float(primary @ primary) ** 0.5)
    second = secondary - (secondary @ first) * first
    second = second / max(_TINY, float(second @ second) ** 0.5)
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
