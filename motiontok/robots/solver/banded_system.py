"""The normal equations of a whole trajectory in one band.

Third differences couple four neighbouring frames, so the matrix is three frames wide beside the
diagonal, and its Cholesky factor costs little more than the kinematics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, solveh_banded

from bvh.rotations import Array
from motiontok.robots.kinematics.kinematics import Kinematics
from motiontok.robots.limits.smoothness import REACH, MovementCost, third_difference_bands

__all__ = ["FLOOR", "BandedSystem", "solve_banded"]

# Absolute damping, in units of cost per rad^2: a fifth of the least tracking weight. With less,
# an arm that passes a singular pose wanders along a valley for as long as it is let.
FLOOR = 5.0
_BATCH = 128  # frames put into the band together


@dataclass(eq=False)
class BandedSystem:
    """The normal equations of a run of frames together.

    Attributes:
        movement: weights of jerk.
        matrix: ``(frames, nv, nv)`` of the frames alone, jerk and joints' movement aside.
        diagonal: ``(frames, joints)`` of the movement.
        beside: ``(frames - 1, joints)`` coupling of neighbouring frames, jerk aside.
        rotations: ``(frames, 3, 3)`` of the base.
        damping: ``(frames,)`` relative to the diagonal.
        held: coupling of neighbouring frames by points that are held, see
            :meth:`~motiontok.robots.contacts.held_contacts.Stillness.add`.
        frozen: ``(frames,)`` frames that must not change.
    """

    movement: MovementCost
    matrix: Array
    diagonal: Array
    beside: Array
    rotations: Array
    damping: Array
    held: Sequence[tuple[slice, slice, Array, Array]]
    frozen: Array

    def part(self, some: Array, frozen: Array) -> BandedSystem:
        """The equations of some frames ``(n,)``, stretches with frozen ends laid end to end."""
        place = np.full(len(self.frozen) + 1, -1)
        place[some] = np.arange(len(some))
        held = []
        for rows, columns, at, block in self.held:
            keep = (place[at] >= 0) & (place[at + 1] == place[at] + 1)
            held.append((rows, columns, place[at[keep]], block[keep]))
        return BandedSystem(
            self.movement,
            self.matrix[some],
            self.diagonal[some],
            self.beside[some[:-1]],
            self.rotations[some],
            self.damping[some],
            held,
            frozen,
        )

    def band(self, kinematics: Kinematics, kind: type[np.floating[Any]]) -> Array:
        """The matrix ``(frames, nv, width)`` in lower band storage, valid until the next call.

        There is one row an unknown: entry ``t, i, k`` couples the unknown ``(t, i)`` with the k-th
        after it.
        """
        movement = self.movement
        frames, nv = self.matrix.shape[:2]
        coupling = third_difference_bands(frames)
        # The base's blocks of three reach two further than the joints.
        band = kinematics.memory("band", frames, (nv, REACH * nv + 3), kind)
        band[...] = 0.0
        padded = np.zeros((_BATCH, nv, 2 * nv))
        s0, s1, s2 = padded.strides
        skewed = np.lib.stride_tricks.as_strided(padded, (_BATCH, nv, nv), (s0, s1 + s2, s2))
        for start in range(0, frames, _BATCH):
            part = slice(start, start + _BATCH)
            count = len(self.matrix[part])
            padded[:count, :, :nv] = self.matrix[part]
            diagonal = np.einsum("tii->ti", padded[:count, :, :nv])
            diagonal += self.damping[part, None] * diagonal + FLOOR
            diagonal[:, 6:] += self.diagonal[part] + movement.joint * coupling[0, part, None]
            diagonal[:, :3] += movement.base * coupling[0, part, None]
            diagonal[:, 3:6] += movement.turn * coupling[0, part, None]
            band[part, :, :nv] = skewed[:count]
        for d in range(1, min(REACH, frames - 1) + 1):
            c = coupling[d, : frames - d]
            band[: frames - d, 6:, d * nv] = movement.joint * c[:, None]
            # Both frames' bases move along their own axes; the differences are the world's.
            turned = self.rotations[:-d].swapaxes(-1, -2) @ self.rotations[d:]
            for i in range(3):
                for j in range(3):
                    entry = c * turned[:, i, j]
                    band[: frames - d, i, d * nv + j - i] = movement.base * entry
                    band[: frames - d, 3 + i, d * nv + j - i] = movement.turn * entry
        band[:-1, 6:, nv] += self.beside
        coupled = _coupling(band, 1)
        for rows, columns, at, block in self.held:
            coupled[at, rows, columns] += block
        if self.frozen.any():
            _hold(band, self.frozen)
        return band


def _coupling(band: Array, apart: int) -> Array:
    """Blocks ``(frames, nv, nv)`` that couple frames less than ``REACH`` apart, as a view."""
    frames, nv, _ = band.shape
    s0, s1, s2 = band.strides
    out: Array = np.lib.stride_tricks.as_strided(
        band[:, :, apart * nv :], (frames, nv, nv), (s0, s1 - s2, s2)
    )
    return out


def _hold(band: Array, frozen: Array) -> None:
    """Take frozen frames out of a matrix, in place."""
    nv = band.shape[1]
    band[frozen] = 0.0
    band[frozen, :, 0] = 1.0
    for d in range(1, REACH + 1):
        before = np.flatnonzero(frozen[d:] & ~frozen[:-d])
        if d < REACH:
            _coupling(band, d)[before] = 0.0
        else:
            # Unknown (t, i) meets those of frame t + d at d nv - i and after.
            for i in range(nv):
                band[before, i, d * nv - i :] = 0.0


def solve_banded(band: Array, right: Array) -> Array | None:
    """The solution ``(frames, nv)`` of a banded system, which is overwritten.

    None, if it is indefinite to rounding.
    """
    try:
        out: Array = solveh_banded(
            band.reshape(right.size, -1).T,
            right.ravel().astype(band.dtype),
            lower=True,
            overwrite_ab=True,
            overwrite_b=True,
            check_finite=False,
        )
    except LinAlgError:
        return None
    return out.reshape(right.shape).astype(np.float64)
