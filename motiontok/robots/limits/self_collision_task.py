"""The task that keeps a robot's bodies apart."""

from __future__ import annotations

import numpy as np

from bvh.rotations import Array
from motiontok.robots.kinematics import so3
from motiontok.robots.kinematics.kinematics import Kinematics, Linearization, State
from motiontok.robots.limits.self_collision import ClosePairs

__all__ = ["WATCHED", "SeparationTask"]

_GAP = 0.002  # m between bodies that were parted
WATCHED = 0.01  # m; closer pairs are kept apart
_WEIGHT = 1500.0  # per metre


class SeparationTask:
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
        state = kinematics.evaluate(q)
        self._at = near.frames
        self._normals = near.normals
        joints, at = np.unique(near.bodies, return_inverse=True)
        index = np.array([kinematics.body_index(j) for j in joints.tolist()], dtype=int)
        self._which = index[at].reshape(-1, 2)
        rotations = state.rotations[self._at[:, None], self._which]
        offset = near.points - state.positions[self._at[:, None], self._which]
        self._local = np.einsum("npji,npj->npi", rotations, offset)
        moved = np.array([kinematics.subtree_of(j) for j in joints.tolist()])
        signed = moved.reshape(-1, kinematics.columns)[at].reshape(-1, 2, kinematics.columns)
        # The first body's movement counts, less the second's.
        self._moved = signed * [[1.0], [-1.0]]

    def __getitem__(self, frames: Array | slice) -> SeparationTask:
        chosen = np.arange(self._frames)[frames]
        place = np.full(self._frames, -1)
        place[chosen] = np.arange(len(chosen))
        keep = place[self._at] >= 0
        out = object.__new__(SeparationTask)
        out.kinematics, out._weight = self.kinematics, self._weight
        out._frames = len(chosen)
        out._at = place[self._at[keep]]
        out._normals, out._which = self._normals[keep], self._which[keep]
        out._local, out._moved = self._local[keep], self._moved[keep]
        return out

    def add(self, state: State, total: Linearization) -> None:
        """Add cost and derivatives at a state of the task's frames."""
        if not len(self._at):
            return
        rotations = state.rotations[self._at[:, None], self._which]
        points = (rotations @ self._local[..., None])[..., 0]
        points += state.positions[self._at[:, None], self._which]
        short = _GAP - np.einsum("ni,ni->n", points[:, 0] - points[:, 1], self._normals)
        close = np.flatnonzero(short > 0)
        if not len(close):
            return
        at, short, points = self._at[close], short[close], points[close]
        # A body's point x moves along n at J . (n, x x n).
        wrench = np.empty((len(close), 2, 6))
        wrench[..., :3] = self._normals[close, None]
        wrench[..., 3:] = points @ so3.skew(self._normals[close])
        along = (wrench @ state.jacobians[at].swapaxes(1, 2)) * self._moved[close]
        row = along[:, 0] + along[:, 1]
        matrix, gradient = total.coupling()
        # Rows of one frame stand together: stack them, zeros where a frame has fewer.
        frames, first, counts = np.unique(at, return_index=True, return_counts=True)
        group = np.repeat(np.arange(len(frames)), counts)
        place = np.arange(len(at)) - first[group]
        rows = np.zeros((len(frames), counts.max(), row.shape[1]))
        gaps = np.zeros((len(frames), counts.max(), 1))
        rows[group, place], gaps[group, place, 0] = self._weight * row, self._weight * short
        across = rows.swapaxes(1, 2)
        total.cost[frames] += (gaps * gaps).sum((1, 2))
        gradient[frames] += (across @ gaps)[..., 0]
        matrix[frames] += across @ rows
