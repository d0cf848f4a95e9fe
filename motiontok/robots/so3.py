"""Rotation matrices in batches, as the solver's inner loop needs them."""

from __future__ import annotations

import numpy as np

from bvh import rotations
from bvh.rotations import Array

__all__ = ["log", "log_metric", "skew"]

_NEAR_PI = np.pi - 1e-2
_LOWER, _UPPER = [7, 2, 3], [5, 6, 1]
_LEVI_CIVITA = np.array(
    [[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0]],
    dtype=np.float64,
)


def skew(v: Array) -> Array:
    """Matrices ``(..., 3, 3)`` with ``skew(v) @ u = v x u``, of vectors ``(..., 3)``."""
    return np.asarray((v @ _LEVI_CIVITA).reshape(*v.shape, 3))


def log(matrix: Array) -> tuple[Array, Array]:
    """Rotation vectors ``(..., 3)`` and angles ``(...)`` in [0, pi] of ``(..., 3, 3)``."""
    flat = matrix.reshape(*matrix.shape[:-2], 9)
    v = flat[..., _LOWER] - flat[..., _UPPER]
    sine = 0.5 * np.sqrt(np.einsum("...i,...i->...", v, v))
    angle = np.arctan2(sine, 0.5 * (flat[..., ::4].sum(-1) - 1.0))
    # The limit at no turn is 1/2; the tiny numbers only keep 0/0 away.
    vector = v * ((0.5 * angle + 1e-300) / (sine + 1e-300))[..., None]
    # Near a half turn the antisymmetric part vanishes and with it the axis.
    half = angle > _NEAR_PI
    if half.any():
        vector[half] = rotations.log(rotations.from_matrix(matrix[half]))
    return vector, angle


def log_metric(vector: Array, angle: Array) -> Array:
    """Matrices ``(..., 3, 3)``: Gauss-Newton matrix of ``|log(R)|^2 / 2`` in the turn of R.

    With ``log(exp(v) exp(d)) = v + J d`` to first order this is ``J^T J``. ``J`` leaves
    ``v`` alone and stretches what is across by ``s = (a / 2) / sin(a / 2)``, ``a = |v|``
    (Sola et al. 2018, arXiv 1812.01537, eq. 144), so ``J^T J = s^2 I + (1 - s^2) v v^T / a^2``
    and ``J^T v = v``.
    """
    half = 0.5 * np.maximum(angle, 1e-4)
    stretch = (half / np.sin(half)) ** 2
    along = (0.25 - 0.25 * stretch) / half**2
    out: Array = (along[..., None] * vector)[..., :, None] * vector[..., None, :]
    np.einsum("...ii->...i", out)[...] += stretch[..., None]
    return out
