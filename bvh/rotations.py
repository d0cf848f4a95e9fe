"""Rotations on numpy arrays: unit quaternions ``(w, x, y, z)`` and 3x3 matrices.

Every function works on arrays with any leading dimensions. Quaternions map
vectors by ``rotate(q, v)``; ``multiply(a, b)`` applies ``b`` first.

Results lie in memory component by component (all w, then all x, ...): the next operation
on them then runs along memory instead of across it, which halves its time. Shape and meaning are
unchanged; only code that looks at strides notices.
"""

from __future__ import annotations

from operator import eq
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

_Angle = TypeVar("_Angle", float, Array)

__all__ = [
    "Array",
    "align_signs",
    "angle_between",
    "between",
    "conjugate",
    "cross",
    "dot",
    "exp",
    "from_axis_angle",
    "from_euler",
    "from_matrix",
    "identity",
    "length",
    "log",
    "multiply",
    "normalize",
    "planar",
    "rotate",
    "slerp",
    "to_euler",
    "to_matrix",
    "wrapped",
    "yaw_of",
]

_AXES = {"x": 0, "y": 1, "z": 2}
_NOTHING = 1e-150  # product of the lengths of two vectors without a direction


def identity(*shape: int) -> Array:
    """Identity quaternions, ``(*shape, 4)``."""
    out = np.zeros((*shape, 4))
    out[..., 0] = 1.0
    return out


def planar(shape: tuple[int, ...], *components: int, dtype: Any = np.float64) -> Array:
    """Uninitialised ``(*shape, *components)``, component by component in memory."""
    out = np.empty((*components, *shape), dtype)
    ahead = len(components)
    return out.transpose(*range(ahead, out.ndim), *range(ahead))


def dot(a: Array, b: Array) -> Array:
    """Scalar products ``(...)`` of ``(..., n)`` for a small n, where numpy's sum is slow."""
    products = a * b
    out: Array = products[..., 0] + products[..., 1]
    for component in range(2, products.shape[-1]):
        out += products[..., component]
    return out


def length(v: Array) -> Array:
    """Lengths ``(..., 1)`` of ``(..., n)``."""
    out: Array = np.sqrt(dot(v, v))[..., None]
    return out


def normalize(q: Array) -> Array:
    """Scale quaternions ``(..., 4)`` to unit length."""
    return q / length(q)


def conjugate(q: Array) -> Array:
    """Inverse of unit quaternions ``(..., 4)``."""
    return q * np.array([1.0, -1.0, -1.0, -1.0], dtype=q.dtype)


def multiply(a: Array, b: Array) -> Array:
    """Hamilton product of ``(..., 4)`` and ``(..., 4)``: rotate by ``b``, then by ``a``."""
    aw, ax, ay, az = a[..., 0], a[..., 1], a[..., 2], a[..., 3]
    bw, bx, by, bz = b[..., 0], b[..., 1], b[..., 2], b[..., 3]
    w = aw * bw - ax * bx - ay * by - az * bz
    out = planar(w.shape, 4, dtype=w.dtype)
    out[..., 0] = w
    out[..., 1] = aw * bx + ax * bw + ay * bz - az * by
    out[..., 2] = aw * by - ax * bz + ay * bw + az * bx
    out[..., 3] = aw * bz + ax * by - ay * bx + az * bw
    return out


def cross(a: Array, b: Array) -> Array:
    """Cross product of ``(..., 3)`` arrays.

    Written out: :func:`numpy.cross` spends most of its time on the bookkeeping of axes.
    """
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    x = ay * bz - az * by
    out = planar(x.shape, 3, dtype=x.dtype)
    out[..., 0] = x
    out[..., 1] = az * bx - ax * bz
    out[..., 2] = ax * by - ay * bx
    return out


def rotate(q: Array, v: Array) -> Array:
    """Rotate vectors ``(..., 3)`` by unit quaternions ``(..., 4)``."""
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    a, b, c = v[..., 0], v[..., 1], v[..., 2]
    # With u = (x, y, z): v + w t + u x t, where t = 2 u x v.
    s, t, r = 2.0 * (y * c - z * b), 2.0 * (z * a - x * c), 2.0 * (x * b - y * a)
    first = a + w * s + y * r - z * t
    out = planar(first.shape, 3, dtype=first.dtype)
    out[..., 0] = first
    out[..., 1] = b + w * t + z * s - x * r
    out[..., 2] = c + w * r + x * t - y * s
    return out


def from_axis_angle(axis: ArrayLike, angle: ArrayLike) -> Array:
    """Quaternions ``(..., 4)`` turning by ``angle`` (rad) about ``axis`` ``(..., 3)``."""
    axis = np.asarray(axis, dtype=float)
    half = 0.5 * np.asarray(angle, dtype=float)
    turn = (np.sin(half) / np.maximum(length(axis)[..., 0], 1e-300))[..., None] * axis
    out = planar(turn.shape[:-1], 4)
    out[..., 0], out[..., 1:] = np.cos(half), turn
    return out


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
    size = (length(a) * length(b))[..., 0]
    q = planar(size.shape, 4)
    q[..., 0], q[..., 1:] = size + dot(a, b), cross(a, b)
    lost = q[..., 0] <= np.maximum(1e-9 * size, _NOTHING)
    if lost.any():
        # Opposite directions: any axis perpendicular to a will do. No direction: no turn.
        helper = np.where(np.abs(a[..., :1]) < 0.6 * length(a), [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
        half_turn = np.broadcast_to(cross(a, helper), (*size.shape, 3))
        q[lost, 0], q[lost, 1:] = 0.0, half_turn[lost]
        q[size <= _NOTHING] = [1.0, 0.0, 0.0, 0.0]
    return normalize(q)


def yaw_of(q: Array) -> Array:
    """Heading (rad, -pi to pi) of ``q`` ``(..., 4)``: its twist about +Z.

    ``q = from_axis_angle(z, yaw) * tilt`` where the tilt's axis is horizontal. Unlike
    the direction of the forward axis this stays defined for a body lying down;
    it is undefined only upside down.
    """
    return wrapped(2.0 * np.arctan2(q[..., 3], q[..., 0]))


def wrapped(angle: _Angle) -> _Angle:
    """Angles (rad) moved by whole turns to -pi and up to pi, without pi itself."""
    return (angle + np.pi) % (2.0 * np.pi) - np.pi


def from_euler(angles: Array, order: str) -> Array:
    """Quaternions ``(..., 4)`` of intrinsic Euler angles (rad).

    Args:
        angles: ``(..., len(order))``, one per axis in ``order``.
        order: axes such as ``"zyx"``, applied left to right about the moving
            frame, so the matrix is ``R_z R_y R_x`` (BVH's reading of channels).
            Any length from 0 to 3, repeats allowed.
    """
    order = order.lower()
    if len(order) == len(set(order)) == 3:
        return _from_three_angles(angles, order)
    out = identity(*angles.shape[:-1])
    for column, axis in enumerate(order):
        half = 0.5 * angles[..., column]
        step = np.zeros((*half.shape, 4))
        step[..., 0] = np.cos(half)
        step[..., 1 + _AXES[axis]] = np.sin(half)
        out = step if column == 0 else multiply(out, step)
    return out


def _from_three_angles(angles: Array, order: str) -> Array:
    """The product of three quaternions about distinct axes, written out."""
    i, j, k = (1 + _AXES[a] for a in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    half = np.multiply(np.moveaxis(angles, -1, 0), 0.5, order="C")
    c1, c2, c3 = np.cos(half)
    s1, s2, s3 = np.sin(half)
    cc, ss, sc, cs = c1 * c2, sign * s1 * s2, s1 * c2, c1 * s2
    out = np.empty((*angles.shape[:-1], 4))
    out[..., 0] = cc * c3 - ss * s3
    out[..., i] = sc * c3 + sign * cs * s3
    out[..., j] = cs * c3 - sign * sc * s3
    out[..., k] = ss * c3 + cc * s3
    return out


def to_euler(q: Array, order: str) -> Array:
    """Intrinsic Euler angles ``(..., len(order))`` (rad) of unit quaternions ``(..., 4)``.

    Three axes state every rotation: the middle angle lies in [-pi/2, pi/2] if they are
    distinct and in [0, pi] if the first is the third, the others in [-pi, pi]. At gimbal
    lock the last angle is 0; close to it the angles still compose to ``q`` in full
    precision. One or two axes state ``q`` only where it turns about nothing else.

    Half-angle sums and differences are polar angles of sums and differences of the
    quaternion's components (Bernardes and Viollet, "Quaternion to Euler angles
    conversion", PLOS ONE 2022).

    Args:
        q: unit quaternions.
        order: one to three axes such as ``"zyx"``, neighbours distinct.

    Raises:
        ValueError: ``order`` is something else.
    """
    order = order.lower()
    if not (0 < len(order) < 4) or set(order) - set(_AXES) or any(map(eq, order, order[1:])):
        raise ValueError(f"Euler order needs one to three axes, neighbours distinct: {order!r}")
    first, second = _AXES[order[0]], _AXES[order[-1] if len(order) < 3 else order[1]]
    w, a = q[..., 0], q[..., 1 + first]
    if len(order) == 1:
        return _wrap(2.0 * np.arctan2(a, w))[..., None]
    third = 3 - first - second
    sign = 1.0 if (second - first) % 3 == 1 else -1.0
    b, c = q[..., 1 + second], sign * q[..., 1 + third]
    if len(order) == 2:
        # (w, a) and (b, c) are both multiples of (cos, sin) of half the first angle.
        near = (w * w + a * a >= b * b + c * c)[..., None]
        cosine, sine = np.moveaxis(
            np.where(near, np.stack([w, a], -1), np.stack([b, c], -1)), -1, 0
        )
        half = np.arctan2(b * cosine + c * sine, w * cosine + a * sine)
        return _wrap(2.0 * np.stack([np.arctan2(sine, cosine), half], axis=-1))
    proper = order[0] == order[2]
    if not proper:
        w, a, b, c = w + b, a + c, w - b, a - c
    plus, minus = np.arctan2(a, w), np.arctan2(c, b)
    high, low = np.hypot(w, a), np.hypot(b, c)
    plus, minus = np.where(high < 1e-12, minus, plus), np.where(low < 1e-12, plus, minus)
    middle = 2.0 * (np.arctan2(low, high) if proper else np.arctan2(high, low) - np.pi / 4)
    last = (plus - minus) * (1.0 if proper else sign)
    return np.stack([_wrap(plus + minus), middle, _wrap(last)], axis=-1)


def _wrap(angle: Array) -> Array:
    """Angles (rad) moved by whole turns into [-pi, pi]."""
    out: Array = angle - 2.0 * np.pi * np.round(angle / (2.0 * np.pi))
    return out


def to_matrix(q: Array) -> Array:
    """Rotation matrices ``(..., 3, 3)`` of unit quaternions ``(..., 4)``."""
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    out = planar(w.shape, 3, 3, dtype=w.dtype)
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

    Where the cosine of half the angle is small, the largest of the four candidate
    components is used (Shepperd 1978), so it is accurate for every rotation.
    """
    w = 1.0 + m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    q = planar(w.shape, 4, dtype=w.dtype)
    q[..., 0] = w
    for i, j, k in ((1, 2, 3), (2, 3, 1), (3, 1, 2)):
        q[..., i] = m[..., k - 1, j - 1] - m[..., j - 1, k - 1]
    far = w < 1.0
    if far.any():
        q[far] = _by_largest(m[far])
    q = normalize(q)
    return np.where(q[..., :1] < 0, -q, q)


def _by_largest(m: Array) -> Array:
    """Quaternions ``(n, 4)``, any length and sign, of ``(n, 3, 3)``."""
    xx, yy, zz = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    # Row k holds 4 q_k q: the candidate that component k gives.
    candidates = np.empty((len(m), 4, 4), dtype=m.dtype)
    candidates[:, 0, 0] = 1 + xx + yy + zz
    candidates[:, 1, 1] = 1 + xx - yy - zz
    candidates[:, 2, 2] = 1 - xx + yy - zz
    candidates[:, 3, 3] = 1 - xx - yy + zz
    for i, j, k in ((1, 2, 3), (2, 3, 1), (3, 1, 2)):
        low, high = m[:, k - 1, j - 1], m[:, j - 1, k - 1]
        candidates[:, 0, i] = candidates[:, i, 0] = low - high
        candidates[:, j, k] = candidates[:, k, j] = low + high
    best = np.argmax(np.diagonal(candidates, axis1=1, axis2=2), axis=1)
    return candidates[np.arange(len(m)), best]


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
