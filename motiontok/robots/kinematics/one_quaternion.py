"""Arithmetic of single quaternions (x, y, z, w) as plain floats.

For so few numbers NumPy's calls, and Pinocchio's, cost more than the arithmetic.
"""

from __future__ import annotations

import math

import pinocchio as pin

from bvh.rotations import Array

__all__ = ["Quaternion", "inverse", "matrix_of", "of_matrix", "power", "times"]

Quaternion = list[float]


def of_matrix(rotation: Array) -> Quaternion:
    """Of a rotation matrix ``(3, 3)``."""
    out: Quaternion = pin.Quaternion(rotation).coeffs().tolist()
    return out


def matrix_of(q: Quaternion) -> Array:
    """The rotation matrix ``(3, 3)``."""
    x, y, z, w = q
    out: Array = pin.Quaternion(w, x, y, z).toRotationMatrix()
    return out


def inverse(q: Quaternion) -> Quaternion:
    """Of a unit quaternion."""
    x, y, z, w = q
    return [-x, -y, -z, w]


def times(a: Quaternion, b: Quaternion) -> Quaternion:
    """The product: first ``b``, then ``a``."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return [
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    ]


def power(q: Quaternion, share: float) -> Quaternion:
    """A share of a unit quaternion's turn, the shorter way round."""
    x, y, z, w = q
    sine = math.sqrt(x * x + y * y + z * z)
    if sine < 1e-12:
        return [0.0, 0.0, 0.0, 1.0]
    if w < 0.0:
        sine, w = -sine, -w
    half = share * math.atan2(abs(sine), w)
    along = math.sin(half) / sine
    return [along * x, along * y, along * z, math.cos(half)]
