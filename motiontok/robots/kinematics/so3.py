"""Rotations in batches, for the solver's inner loop.

Where stated, arrays have the components first, ``(3, ...)`` instead of ``(..., 3)``: NumPy then
runs along frames, several times faster than along three numbers at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh import rotations
from bvh.rotations import Array

__all__ = ["Turn", "chord_between", "cross", "cross_rows", "log", "log_between", "skew", "wrapped"]

_NEAR_PI = np.pi - 1e-2
_LEVI_CIVITA = np.array(
    [[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0]],
    dtype=np.float64,
)
_WRAP = np.array([0, 1, 2, 0, 1])
_VEE_AND_TRACE = np.concatenate([_LEVI_CIVITA.T, np.eye(3).reshape(9, 1)], axis=1)


def skew(v: Array) -> Array:
    """Matrices ``(..., 3, 3)`` with ``skew(v) @ u = v x u``, of vectors ``(..., 3)``."""
    return np.asarray((v @ _LEVI_CIVITA).reshape(*v.shape, 3))


def log(matrix: Array) -> tuple[Array, Array]:
    """Rotation vectors ``(..., 3)`` and angles ``(...)`` in [0, pi] of ``(..., 3, 3)``."""
    parts = matrix.reshape(*matrix.shape[:-2], 9) @ _VEE_AND_TRACE
    v = parts[..., :3]
    sine = 0.5 * np.sqrt((v * v).sum(-1))
    angle = np.arctan2(sine, 0.5 * parts[..., 3] - 0.5)
    # The limit at no turn is 1/2; the tiny numbers only keep 0/0 away.
    vector = v * ((0.5 * angle + 1e-300) / (sine + 1e-300))[..., None]
    # Near a half turn the antisymmetric part vanishes and with it the axis.
    half = angle > _NEAR_PI
    if half.any():
        vector[half] = rotations.log(rotations.from_matrix(matrix[half]))
    return vector, angle


def wrapped(values: Array) -> Array:
    """Components ``(3, ...)`` as 0, 1, 2, 0, 1 ``(5, ...)``, copied: ready for :func:`cross`."""
    out: Array = values.take(_WRAP, axis=0)
    return out


def cross(a: Array, b: Array) -> Array:
    """Cross products ``(3, ...)`` of :func:`wrapped` vectors ``(5, ...)``."""
    out: Array = a[1:4] * b[2:5] - a[2:5] * b[1:4]
    return out


def cross_rows(a: Array, b: Array) -> Array:
    """Cross products ``(n, 3)`` of vectors ``(n, 3)``, many times faster than NumPy's of few."""
    return cross(wrapped(a.T), wrapped(b.T)).T


@dataclass(frozen=True, eq=False)
class Turn:
    """A turn as a residual to second order.

    Attributes:
        square: ``(...)`` of the residual.
        pull: ``(3, ...)`` half the negative derivative of the square.
        across, along: ``(...)`` factors of the Gauss-Newton matrix
            ``across I + along pull pull^T``.
    """

    square: Array
    pull: Array
    across: Array
    along: Array


def log_between(to: Array, start: Array) -> Turn:
    """The rotation vector of ``to @ start.T`` as a residual.

    With ``log(exp(v) exp(d)) = v + J d`` to first order the matrix is ``J^T J``. ``J`` leaves ``v``
    alone and stretches vectors across it by ``s = (a / 2) / sin(a / 2)``, ``a = |v|`` (Sola et al.
    2018, arXiv 1812.01537, eq. 144); also ``J^T v = v``.

    Args:
        to: :func:`wrapped` matrices ``(5, 3, ...)``: rows, columns.
        start: the same.
    """
    vector, cosine = _sine_and_cosine(to, start)
    sine = 0.5 * np.sqrt((vector * vector).sum(0))
    angle = np.arctan2(sine, cosine)
    # The limit at no turn is 1/2; the tiny numbers only keep 0/0 away.
    vector *= (0.5 * angle + 1e-300) / (sine + 1e-300)
    # Near a half turn the antisymmetric part vanishes and with it the axis.
    half = angle > _NEAR_PI
    if half.any():
        matrix = np.einsum("ikn,jkn->nij", to[:3, :, half], start[:3, :, half])
        vector[:, half] = rotations.log(rotations.from_matrix(matrix)).T
    half_angle = 0.5 * np.maximum(angle, 1e-4)
    across = (half_angle / np.sin(half_angle)) ** 2
    return Turn(angle * angle, vector, across, (0.25 - 0.25 * across) / half_angle**2)


def chord_between(to: Array, start: Array) -> Turn:
    """Twice the vector part of the quaternion of ``to @ start.T``, as a residual.

    With the quaternion (w, u) the residual is ``2 u`` and its derivative ``w I + [u]``, so
    the matrix is ``I - u u^T`` and the pull ``2 w u``.

    Args:
        to: :func:`wrapped` matrices ``(5, 3, ...)``: rows, columns.
        start: the same.
    """
    vector, cosine = _sine_and_cosine(to, start)
    vector *= 0.5  # the axis times the sine, 2 w u
    along = -0.5 / np.maximum(1.0 + cosine, 1e-6)  # u u^T is pull pull^T / (4 w^2)
    return Turn(2.0 * (1.0 - cosine), vector, np.ones_like(cosine), along)


def _sine_and_cosine(to: Array, start: Array) -> tuple[Array, Array]:
    """Axes times twice the sine ``(3, ...)`` and cosines ``(...)`` of ``to @ start.T``."""
    # The product's antisymmetric part is half the sum of the columns' cross products.
    return cross(start, to).sum(1), 0.5 * (to[:3] * start[:3]).sum((0, 1)) - 0.5
