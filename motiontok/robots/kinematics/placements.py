"""Many of Pinocchio's placements at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from bvh.rotations import Array

__all__ = ["Placements", "split"]

_ROW = 12  # numbers of a placement: rotation column by column, then translation


class Placements:
    """Live view of a vector of Pinocchio placements, such as ``data.oMi``.

    The vector is one block of memory; reading it as a whole is ten times faster than
    placement by placement. If Pinocchio ever changes the layout, this notices.

    Args:
        vector: a vector of SE3 that lives as long as this object and keeps its length.
    """

    def __init__(self, vector: Any) -> None:
        self._vector = vector
        self._block = self._view()

    def read(self, out: Array) -> None:
        """Copy all placements into ``out (placements, 12)``."""
        if self._block is not None:
            out[...] = self._block
            return
        for row, placement in zip(out, self._vector, strict=True):
            row[:9] = placement.rotation.T.ravel()
            row[9:] = placement.translation

    def _view(self) -> Array | None:
        if not len(self._vector):
            return None
        starts = np.array([_address(p.rotation) for p in self._vector])
        ends = np.array([_address(p.translation) for p in self._vector])
        size = np.dtype(np.float64).itemsize
        first = self._vector[0].rotation
        as_expected = (
            (np.diff(starts) == _ROW * size).all()
            and (ends - starts == 9 * size).all()
            and first.strides == (size, 3 * size)
        )
        if not as_expected:
            return None
        return np.lib.stride_tricks.as_strided(
            first, (len(starts), _ROW), (_ROW * size, size), writeable=False
        )


def split(rows: Array) -> tuple[Array, Array]:
    """Rotations ``(..., 3, 3)`` and translations ``(..., 3)`` of rows ``(..., 12)``."""
    rotations = rows[..., :9].reshape(*rows.shape[:-1], 3, 3).swapaxes(-1, -2)
    return np.ascontiguousarray(rotations), rows[..., 9:]


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
