"""Rotations on numpy arrays: unit quaternions ``(w, x, y, z)`` and 3x3 matrices.

Every function works on arrays with any leading dimensions. Quaternions map
vectors by ``rotate(q, v)``; ``multiply(a, b)`` applies ``b`` first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

__all__ = [
    "Array",
    "align_signs",
    "angle_between",
    "between",
    "conjugate",
    "exp",
    "from_axis_angle",
    "from_euler",
    "from_matrix",
    "identity",
    "log",
    "multiply",
    "normalize",
    "rotate",
    "slerp",
    "to_euler",
    "to_matrix",
    "twist_about",
    "yaw_of",
]

_AXES = {"x": 0, "y": 1, "z": 2}


def identity(*shape: int) -> Array:
    """Identity quaternions, ``(*shape, 4)``."""
    out = np.zeros((*shape, 4))
    out[..., 0] = 1.0
    return out


def normalize(q: Array) -> Array:
    """Scale quaternions ``(..., 4)`` to unit length."""
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def conjugate(q: Array) -> Array:
    """Inverse of unit quaternions ``(..., 4)``."""
    return q * np.array([1.0, -1.0, -1.0, -1.0], dtype=q.dtype)


def multiply(a: Array, b: Array) -> Array:
    """Hamilton product of ``(..., 4)`` and ``(..., 4)``: rotate by ``b``, then by ``a``."""
    aw, ax, ay, az = a[..., 0], a[..., 1], a[..., 2], a[..., 3]
    bw, bx, by, bz = b[..., 0], b[..., 1], b[..., 2], b[..., 3]
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def rotate(q: Array, v: Array) -> Array:
    """Rotate vectors ``(..., 3)`` by unit quaternions ``(..., 4)``."""
    w, u = q[..., :1], q[..., 1:]
    t = 2.0 * np.cross(u, v)
    return v + w * t + np.cross(u, t)


def from_axis_angle(axis: ArrayLike, angle: ArrayLike) -> Array:
    """Quaternions ``(..., 4)`` turning by ``angle`` (rad) about ``axis`` ``(..., 3)``."""
    axis = np.asarray(axis, dtype=float)
    half = 0.5 * np.asarray(angle, dtype=float)[..., None]
    unit = axis / np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-300)
    unit, half = np.broadcast_arrays(unit, half)
    return np.concatenate([np.cos(half[..., :1]), np.sin(half) * unit], axis=-1)


def exp(v: Array) -> Array:
    """Quaternions ``(..., 4)`` of rotation vectors ``(..., 3)`` (rad)."""
    angle = np.linalg.norm(v, axis=-1, keepdims=True)
    # sinc is accurate at zero: sin(a/2)/a = sinc(a/2pi)/2.
    return np.concatenate([np.cos(angle / 2), 0.5 * np.sinc(angle / (2 * np.pi)) * v], axis=-1)


def log(q: Array) -> Array:
    """Rotation vectors ``(..., 3)`` (rad, length at most pi) of unit quaternions ``(..., 4)``."""
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., :1])
    scale = np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2.0)
    return scale * q[..., 1:]


def angle_between(a: Array, b: Array) -> Array:
    """Angle (rad, 0 to pi) of the rotation from ``a`` to ``b``, both ``(..., 4)``."""
    return np.linalg.norm(log(multiply(conjugate(a), b)), axis=-1)


def between(a: Array, b: Array) -> Array:
    """Shortest rotation ``(..., 4)`` taking directions ``a`` ``(..., 3)`` to ``b`` ``(..., 3)``."""
    a = a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-300)
    b = b / np.maximum(np.linalg.norm(b, axis=-1, keepdims=True), 1e-300)
    a, b = np.broadcast_arrays(a, b)
    w = 1.0 + np.sum(a * b, axis=-1, keepdims=True)
    # Opposite directions: any axis perpendicular to a will do.
    helper = np.where(np.abs(a[..., :1]) < 0.6, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    opposite = np.concatenate([np.zeros_like(w), np.cross(a, helper)], axis=-1)
    q = np.where(w > 1e-9, np.concatenate([w, np.cross(a, b)], axis=-1), opposite)
    return normalize(q)


def twist_about(q: Array, axis: ArrayLike) -> Array:
    """Signed angle (rad) of the twist part of ``q`` ``(..., 4)`` about unit ``axis`` (3,)."""
    q = np.where(q[..., :1] < 0, -q, q)
    along = np.sum(q[..., 1:] * np.asarray(axis, dtype=float), axis=-1)
    return 2.0 * np.arctan2(along, q[..., 0])


def yaw_of(q: Array) -> Array:
    """Heading (rad, -pi to pi) of ``q`` ``(..., 4)``: its twist about +Z.

    ``q = from_axis_angle(z, yaw) * tilt`` where the tilt's axis is horizontal. Unlike
    the direction of the forward axis this stays defined for a body lying down;
    it is undefined only upside down.
    """
    return (2.0 * np.arctan2(q[..., 3], q[..., 0]) + np.pi) % (2.0 * np.pi) - np.pi


def from_euler(angles: Array, order: str) -> Array:
    """Quaternions ``(..., 4)`` of intrinsic Euler angles (rad).

    Args:
        angles: ``(..., len(order))``, one per axis in ``order``.
        order: axes such as ``"zyx"``, applied left to right about the moving
            frame, so the matrix is ``R_z R_y R_x`` (BVH's reading of channels).
            Any length from 0 to 3, repeats allowed.
    """
    out = identity(*angles.shape[:-1])
    for column, axis in enumerate(order.lower()):
        half = 0.5 * angles[..., column]
        step = np.zeros((*half.shape, 4))
        step[..., 0] = np.cos(half)
        step[..., 1 + _AXES[axis]] = np.sin(half)
        out = step if column == 0 else multiply(out, step)
    return out


def to_euler(q: Array, order: str) -> Array:
    """Intrinsic Euler angles ``(..., 3)`` (rad) of ``q`` for three distinct axes.

    The middle angle lies in [-pi/2, pi/2]. At gimbal lock the last angle is 0.
    """
    i, j, k = (_AXES[a] for a in order.lower())
    if len({i, j, k}) != 3:
        raise ValueError(f"Euler order needs three distinct axes, got {order!r}")
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    m = to_matrix(q)
    sine = np.clip(sign * m[..., i, k], -1.0, 1.0)
    cosine = np.hypot(m[..., i, i], m[..., i, j])
    second = np.arctan2(sine, cosine)
    locked = cosine < 1e-9
    first = np.where(
        locked,
        np.arctan2(sign * m[..., k, j], m[..., j, j]),
        np.arctan2(-sign * m[..., j, k], m[..., k, k]),
    )
    third = np.where(locked, 0.0, np.arctan2(-sign * m[..., i, j], m[..., i, i]))
    return np.stack([first, second, third], axis=-1)


def to_matrix(q: Array) -> Array:
    """Rotation matrices ``(..., 3, 3)`` of unit quaternions ``(..., 4)``."""
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    out = np.empty((*q.shape[:-1], 3, 3), dtype=q.dtype)
    out[..., 0, 0] = 1 - 2 * (y * y + z * z)
    out[..., 0, 1] = 2 * (x * y - w * z)
    out[..., 0, 2] = 2 * (x * z + w * y)
    out[..., 1, 0] = 2 * (x * y + w * z)
    out[..., 1, 1] = 1 - 2 * (x * x + z * z)
    out[..., 1, 2] = 2 * (y * z - w * x)
    out[..., 2, 0] = 2 * (x * z - w * y)
    out[..., 2, 1] = 2 * (y * z + w * x)
    out[..., 2, 2] = 1 - 2 * (x * x + y * y)
    return out


def from_matrix(m: Array) -> Array:
    """Unit quaternions ``(..., 4)``, w >= 0, of rotation matrices ``(..., 3, 3)``.

    Uses the largest of the four candidate components (Shepperd 1978), so it is
    accurate for every rotation.
    """
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = np.stack([1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz], -1)
    yz, zx, xy = (
        m[..., 2, 1] - m[..., 1, 2],
        m[..., 0, 2] - m[..., 2, 0],
        m[..., 1, 0] - m[..., 0, 1],
    )
    pyz, pzx, pxy = (
        m[..., 2, 1] + m[..., 1, 2],
        m[..., 0, 2] + m[..., 2, 0],
        m[..., 1, 0] + m[..., 0, 1],
    )
    candidates = np.stack(
        [
            np.stack([squares[..., 0], yz, zx, xy], -1),
            np.stack([yz, squares[..., 1], pxy, pzx], -1),
            np.stack([zx, pxy, squares[..., 2], pyz], -1),
            np.stack([xy, pzx, pyz, squares[..., 3]], -1),
        ],
        -2,
    )
    best = np.argmax(squares, axis=-1)
    q = np.take_along_axis(candidates, best[..., None, None], axis=-2)[..., 0, :]
    q = normalize(q)
    return np.where(q[..., :1] < 0, -q, q)


def slerp(a: Array, b: Array, t: ArrayLike) -> Array:
    """Spherical interpolation between ``a`` and ``b`` ``(..., 4)`` at ``t`` ``(...)`` in [0, 1]."""
    t = np.asarray(t, dtype=float)[..., None]
    return multiply(a, exp(t * log(multiply(conjugate(a), b))))


def align_signs(q: Array) -> Array:
    """Flip signs along axis 0 so that consecutive quaternions are on the same half-sphere."""
    if len(q) < 2:
        return q
    dots = np.sum(q[1:] * q[:-1], axis=-1)
    signs = np.cumprod(np.where(dots < 0, -1.0, 1.0), axis=0)
    return np.concatenate([q[:1], q[1:] * signs[..., None]])
