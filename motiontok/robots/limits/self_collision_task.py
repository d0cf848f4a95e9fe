"""The cost that keeps a robot's bodies apart."""

from __future__ import annotations

import copy

import numpy as np

from bvh.rotations import Array
from motiontok.robots.kinematics import so3
from motiontok.robots.kinematics.kinematics import Kinematics, Linearization, State
from motiontok.robots.limits.self_collision import ClosePairs

__all__ = ["GAP", "WATCHED", "Separation"]

GAP = 0.002  # m between bodies that were parted
WATCHED = 0.01  # m; closer pairs are kept apart
_WEIGHT = 1500.0  # per metre


class Separation:
    """Witness points of close bodies keep a gap along their normals.

    Args:
        kinematics: of all bodies named.
        near: close pairs.
        q: configurations ``(frames, nq)`` in which they were found.
        share: of the usual weight.
    """

    def __init__(
        self, kinematics: Kinematics, near: ClosePairs, q: Array, *, share: float = 1.0
    ) -> None:
        self.kinematics = kinematics
        self._weight = share * _WEIGHT
        self._frames = len(q)
        self._at = near.frames
        self._normals = near.normals
        joints, at = np.unique(near.bodies, return_inverse=True)
        index = np.array([kinematics.body_index(j) for j in joints.tolist()], dtype=int)
        self._which = index[at].reshape(-1, 2)
        self._local = np.empty((len(near), 2, 3))
        if len(near):
            frames, place = np.unique(self._at, return_inverse=True)
            state = kinematics.evaluate(q[frames])
            rotations = state.rotations[place[:, None], self._which]
            offset = near.points - state.positions[place[:, None], self._which]
            self._local = np.einsum("npji,npj->npi", rotations, offset)
        moved = np.array([kinematics.subtree_of(j) for j in joints.tolist()])
        signed = moved.reshape(-1, kinematics.columns)[at].reshape(-1, 2, kinematics.columns)
        # The first body's movement counts, less the second's.
        self._moved = signed * [[1.0], [-1.0]]
        self._rows = np.zeros((len(near), kinematics.nv))
        self._short = np.full(len(near), -np.inf)

    def part(self, frames: Array) -> Separation:
        """The same of some frames ``(n,)``, ascending, as they were seen."""
        place = np.full(self._frames, -1)
        place[frames] = np.arange(len(frames))
        keep = np.flatnonzero(place[self._at] >= 0)
        out = copy.copy(self)
        out._frames = len(frames)
        out._at = place[self._at[keep]]
        out._normals, out._which = self._normals[keep], self._which[keep]
        out._local, out._moved = self._local[keep], self._moved[keep]
        out._rows, out._short = self._rows[keep], self._short[keep]
        return out

    def unseen(self) -> Separation:
        """The same of configurations yet to be seen."""
        out = copy.copy(self)
        out._rows, out._short = np.zeros_like(self._rows), np.full_like(self._short, -np.inf)
        return out

    def see(self, frames: Array, state: State, total: Linearization) -> None:
        """Read some frames ``(n,)``, ascending, and add their cost and derivatives."""
        first, last = np.searchsorted(self._at, [frames[0], frames[-1] + 1])
        pairs = np.arange(first, last)
        if frames[-1] - frames[0] + 1 != len(frames):
            place = np.full(self._frames, -1)
            place[frames] = np.arange(len(frames))
            pairs = pairs[place[self._at[first:last]] >= 0]
            at = place[self._at[pairs]]
        else:
            at = self._at[first:last] - frames[0]
        if not len(pairs):
            return
        which, normals = self._which[pairs], self._normals[pairs]
        rotations = state.rotations[at[:, None], which]
        points = (rotations @ self._local[pairs][..., None])[..., 0]
        points += state.positions[at[:, None], which]
        short = GAP - np.einsum("ni,ni->n", points[:, 0] - points[:, 1], normals)
        # A body's point x moves along n at J . (n, x x n).
        wrench = np.empty((len(pairs), 2, 6))
        wrench[..., :3] = normals[:, None]
        wrench[..., 3:] = points @ so3.skew(normals)
        along = (wrench @ state.jacobians[at].swapaxes(1, 2)) * self._moved[pairs]
        row = along[:, 0] + along[:, 1]
        self._short[pairs], self._rows[pairs] = short, self.kinematics.free(row)
        close = np.flatnonzero(short > 0)
        if not len(close):
            return
        matrix, gradient = total.coupling()
        frames, matrices, forces, costs = _stacked(
            at[close], self._weight * row[close], self._weight * short[close]
        )
        total.cost[frames] += costs
        gradient[frames] += forces
        matrix[frames] += matrices

    def hits(self, step: Array) -> tuple[Array, Array, Array, Array]:
        """Where a step ``(frames, nv)`` from what was seen runs bodies into each other.

        Returns:
            Frames ``(n,)``, and what they add to matrices ``(n, nv, nv)``, descent directions
            ``(n, nv)`` and costs ``(n,)`` at the end of the step.
        """
        short = self._short - np.einsum("nv,nv->n", self._rows, step[self._at])
        hit = np.flatnonzero((self._short <= 0) & (short > 0))
        rows, gaps = self._weight * self._rows[hit], self._weight * short[hit]
        return _stacked(self._at[hit], rows, gaps)


def _stacked(at: Array, row: Array, gap: Array) -> tuple[Array, Array, Array, Array]:
    """Sums over the rows ``(n, columns)`` and residuals ``(n,)`` of each frame.

    Returns:
        Frames ``(m,)`` of ``at (n,)``, ascending; matrices ``(m, columns, columns)``, forces
        ``(m, columns)`` and costs ``(m,)``.
    """
    # Rows of one frame stand together: stack them, zeros where a frame has fewer.
    frames, first, counts = np.unique(at, return_index=True, return_counts=True)
    group = np.repeat(np.arange(len(frames)), counts)
    place = np.arange(len(at)) - first[group]
    most = int(counts.max(initial=0))
    rows = np.zeros((len(frames), most, row.shape[1]))
    gaps = np.zeros((len(frames), most, 1))
    rows[group, place], gaps[group, place, 0] = row, gap
    across = np.ascontiguousarray(rows.swapaxes(1, 2))
    return frames, across @ rows, (across @ gaps)[..., 0], (gaps * gaps).sum((1, 2))
