"""Many of Pinocchio's placements, inertias and forces at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pinocchio as pin

from bvh.rotations import Array

__all__ = ["Forces", "Inertias", "Placements", "split"]

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
        # A vector's elements are one after the other, so its ends tell of all of them.
        count, size = len(self._vector), np.dtype(np.float64).itemsize
        first, last = self._vector[0], self._vector[count - 1]
        start = _address(first.rotation)
        as_expected = (
            _address(last.rotation) - start == (count - 1) * _ROW * size
            and _address(last.translation) - _address(last.rotation) == 9 * size
            and first.rotation.strides == (size, 3 * size)
        )
        if not as_expected:
            return None
        return np.lib.stride_tricks.as_strided(
            first.rotation, (count, _ROW), (_ROW * size, size), writeable=False
        )


class Inertias:
    """Writes some of a vector of Pinocchio inertias, such as ``model.inertias``, as a whole.

    Args:
        vector: a vector of Inertia that lives as long as this object and keeps its length.
        which: indices of those to be written, not 0.
    """

    def __init__(self, vector: Any, which: Sequence[int]) -> None:
        self._vector, self._which = vector, list(which)
        # From the first lever on: lever and symmetric matrix of one, mass of the next.
        self._places = 10 * np.array(self._which) + np.arange(-1, 9)[:, None]
        levers = [_address(inertia.lever) for inertia in vector]
        size = np.dtype(np.float64).itemsize
        self._block: Array | None = None
        if (np.diff(levers) == 10 * size).all():
            self._block = np.lib.stride_tricks.as_strided(
                vector[0].lever, (10 * len(levers) - 1,), (size,)
            )
            if not self._holds():
                self._block = None

    def write(self, rows: Array) -> None:
        """Rows ``(10, which)``: mass, centre, and xx, xy, yy, xz, yz, zz about the centre."""
        if self._block is not None:
            self._block[self._places] = rows
            return
        for index, (mass, x, y, z, xx, xy, yy, xz, yz, zz) in zip(
            self._which, rows.T.tolist(), strict=True
        ):
            matrix = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
            self._vector[index] = pin.Inertia(mass, np.array([x, y, z]), matrix)

    def _holds(self) -> bool:
        """Whether the memory is laid out as expected, tried out on what is written anyway."""
        rows = np.arange(10.0 * len(self._which)).reshape(10, -1)
        self.write(rows)
        for index, (mass, x, y, z, xx, xy, yy, xz, yz, zz) in zip(
            self._which, rows.T.tolist(), strict=True
        ):
            own = self._vector[index]
            matrix = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
            if own.mass != mass or own.lever.tolist() != [x, y, z]:
                return False
            if own.inertia.tolist() != matrix:
                return False
        return True


class Forces:
    """Writes some of a vector of Pinocchio forces as a whole.

    Args:
        vector: a vector of Force that lives as long as this object and keeps its length.
        which: indices of those to be written.
    """

    def __init__(self, vector: Any, which: Sequence[int]) -> None:
        self._vector, self._which = vector, list(which)
        self._places = 6 * np.array(self._which) + np.arange(6)[:, None]
        size = np.dtype(np.float64).itemsize
        starts = np.array([_address(force.linear) for force in vector])
        ends = np.array([_address(force.angular) for force in vector])
        self._block: Array | None = None
        if (np.diff(starts) == 6 * size).all() and (ends - starts == 3 * size).all():
            self._block = np.lib.stride_tricks.as_strided(
                vector[0].linear, (6 * len(starts),), (size,)
            )

    def write(self, rows: Array) -> None:
        """Rows ``(6, which)``: force, torque."""
        if self._block is not None:
            self._block[self._places] = rows
            return
        for index, row in zip(self._which, rows.T, strict=True):
            self._vector[index] = pin.Force(row)


def split(rows: Array) -> tuple[Array, Array]:
    """Rotations ``(..., 3, 3)`` and translations ``(..., 3)`` of rows ``(..., 12)``."""
    rotations = rows[..., :9].reshape(*rows.shape[:-1], 3, 3).swapaxes(-1, -2)
    return np.ascontiguousarray(rotations), rows[..., 9:]


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
