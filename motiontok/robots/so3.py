"""Rotation matrices in batches, as the solver's inner loop needs them."""

from __future__ import annotations

import numpy as np

from bvh import rotations
from bvh.rotations import Array

__all__ = ["inverse_right_jacobian", "log", "skew"]

_NEAR_PI = np.pi - 1e-2


def skew(v: Array) -> Array:
    """Matrices ``(..., 3, 3)`` with ``skew(v) @ u = v x u``, of vectors ``(..., 3)``."""
    out = np.zeros((*v.shape, 3), dtype=v.dtype)
    out[..., 0, 1], out[..., 0, 2] = -v[..., 2], v[..., 1]
    out[..., 1, 0], out[..., 1, 2] = v[..., 2], -v[..., 0]
    out[..., 2, 0], out[..., 2, 1] = -v[..., 1], v[..., 0]
    return out


def log(matrix: Array) -> tuple[Array, Array]:
    """Rotation vectors ``(..., 3)`` and angles ``(...)`` in [0, pi] of ``(..., 3, 3)``."""
    m = matrix
    v = np.stack(
        [
            m[..., 2, 1] - m[..., 1, 2],
            m[..., 0, 2] - m[..., 2, 0],
            m[..., 1, 0] - m[..., 0, 1],
        ],
        axis=-1,
    )
    sine = 0.5 * np.sqrt(np.einsum("...i,...i->...", v, v))
    cosine = 0.5 * (m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2] - 1.0)
    angle = np.arctan2(sine, cosine)
    scale = np.where(sine > 1e-9, angle / np.maximum(2.0 * sine, 1e-9), 0.5)
    vector = v * scale[..., None]
    # Near a half turn the antisymmetric part vanishes and with it the axis.
    half = angle > _NEAR_PI
    if half.any():
        vector[half] = rotations.log(rotations.from_matrix(m[half]))
    return vector, angle


def inverse_right_jacobian(vector: Array, angle: Array) -> Array:
    """Matrices ``(..., 3, 3)`` with ``log(exp(v) exp(d)) = v + J d`` to first order.

    ``J = I + [v]/2 + (1/a^2 - (1 + cos a) / (2 a sin a)) [v]^2`` with ``a = |v|``
    (Sola et al. 2018, arXiv 1812.01537, eq. 144). The angle is kept below pi, where
    J has a pole.
    """
    a = np.clip(angle, 1e-3, np.pi - 1e-2)
    # (1 + cos a) / sin a = 1 / tan(a / 2), without the 0/0 at pi.
    c = np.where(angle < 1e-3, 1.0 / 12.0, 1.0 / a**2 - 0.5 / (a * np.tan(0.5 * a)))
    v = skew(vector)
    out: Array = np.eye(3) + 0.5 * v + c[..., None, None] * (v @ v)
    return out
