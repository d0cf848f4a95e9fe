"""Points that stand or lie on the ground do not move: a cost that couples frames.

The whole trajectory decides the place of a standing point, but the point stays there: slide costs,
not the distance from a place chosen beforehand. Two neighbouring frames are coupled through the
degrees of freedom that move the point.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from bvh.rotations import Array
from motiontok.robots.kinematics.kinematics import Kinematics, Linearization, State
from motiontok.robots.kinematics.so3 import skew

__all__ = ["Hold", "Stillness"]


@dataclass(frozen=True, eq=False)
class Hold:
    """A point of a body that stays where it is.

    Attributes:
        body: Pinocchio joint index.
        point: ``(3,)`` in the body's frame, metres.
        standing: ``(frames,)`` frames in which it stays.
    """

    body: int
    point: Array
    standing: Array

    def __getitem__(self, frames: Array | slice) -> Hold:
        return replace(self, standing=self.standing[frames])


class Stillness:
    """Cost of the movement of held points, for a run of frames.

    Args:
        kinematics: of all bodies named.
        holds: of as many frames each.
        weight: per metre from frame to frame.
    """

    def __init__(self, kinematics: Kinematics, holds: Sequence[Hold], weight: float) -> None:
        self._kinematics, self._weight = kinematics, weight
        bodies = dict.fromkeys(h.body for h in holds if (h.standing[1:] & h.standing[:-1]).any())
        self._bodies = [
            _Body(kinematics, body, [h for h in holds if h.body == body], weight) for body in bodies
        ]

    def unseen(self) -> Stillness:
        """The same, of configurations yet to be seen."""
        out = copy.copy(self)
        out._bodies = [body.unseen() for body in self._bodies]
        return out

    def read(self, other: Stillness, frames: Array) -> None:
        """Take over what another, of more frames, has seen of some of them ``(n,)``.

        A body that stands in two frames that only a seam makes neighbours may be new.
        """
        theirs = {body.index: body for body in other._bodies}
        for body in self._bodies:
            if body.index in theirs:
                body.read(theirs[body.index], frames)

    def see(self, frames: Array, state: State, total: Linearization) -> None:
        """Read some frames ``(n,)``, and add each frame's own part to the matrix."""
        for body in self._bodies:
            body.see(frames, state, total)

    def cost(self, frames: int) -> Array:
        """Cost ``(frames,)``; a step counts at its first frame."""
        out = np.zeros(frames)
        for body in self._bodies:
            out[body.pairs] += (body.steps() ** 2).sum(1)
        return out

    def add(self, gradient: Array) -> list[tuple[slice, slice, Array, Array]]:
        """Add to the descent direction ``(frames, nv)`` of the frames seen.

        Returns:
            Blocks ``(pairs, m, n)`` of the matrix that couple some columns ``(m,)`` of the
            first frames of pairs with some ``(n,)`` of the next frames': columns, the next
            frames' columns, first frames ``(pairs,)`` and block.
        """
        beside = []
        for body in self._bodies:
            first = body.pairs
            before, after = body.rows[first], body.rows[first + 1]
            steps = body.steps()[:, None]
            pulled, pushed = (steps @ before)[:, 0], (steps @ after)[:, 0]
            across = np.ascontiguousarray((-body.on * before).swapaxes(1, 2)) @ after
            # NumPy adds blocks many times faster than single columns.
            for i, rows in body.blocks:
                gradient[first, rows] += pulled[:, i]
                gradient[first + 1, rows] -= pushed[:, i]
                beside += [(rows, columns, first, across[:, i, j]) for j, columns in body.blocks]
        return beside


class _Body:
    """Held points of one body: their places, and their movement by each degree of freedom.

    Attributes:
        blocks: runs of neighbours among the degrees of freedom that move the body: their place
            among these, and which.
        pairs: frames that stand like their next frames.
        on: ``(pairs, 3 points, 1)`` which points stand in both frames.
        rows: ``(frames, 3 points, n)`` of the n degrees of freedom, weighted.
    """

    def __init__(
        self, kinematics: Kinematics, body: int, holds: Sequence[Hold], weight: float
    ) -> None:
        self.index = kinematics.body_index(body)
        self._points = np.array([h.point for h in holds])
        self._weight = weight
        moves = kinematics.subtree_of(body)
        self._moves = np.flatnonzero(moves)
        # From all degrees of freedom to the free ones, where some joints follow others.
        free = kinematics.free(np.eye(kinematics.columns))[self._moves]
        columns = np.flatnonzero(free.any(axis=0))
        self.blocks = _neighbours(columns)
        self._free = None if kinematics.coupling is None else free[:, columns]
        standing = np.stack([h.standing for h in holds], axis=1)
        both = standing[1:] & standing[:-1]
        self.pairs = np.flatnonzero(both.any(axis=1))
        self.on = np.repeat(both[self.pairs], 3, axis=1)[..., None].astype(float)
        # A frame is the first of one pair and the second of another.
        self._counts = np.zeros(standing.shape)
        self._counts[:-1] += both
        self._counts[1:] += both
        self._standing: Array = np.asarray(self._counts.any(axis=1))
        self.rows = np.zeros((len(standing), 3 * len(holds), len(columns)))
        self._places = np.zeros((len(standing), 3 * len(holds)))

    def unseen(self) -> _Body:
        out = copy.copy(self)
        out.rows, out._places = np.zeros_like(self.rows), np.zeros_like(self._places)
        return out

    def read(self, other: _Body, frames: Array) -> None:
        """What another has seen of these frames ``(n,)``."""
        self.rows[:], self._places[:] = other.rows[frames], other._places[frames]

    def see(self, frames: Array, state: State, total: Linearization) -> None:
        seen = np.flatnonzero(self._standing[frames])
        if not len(seen):
            return
        at = frames[seen]
        turned = self._points @ state.rotations[seen, self.index].swapaxes(1, 2)
        places = turned + state.positions[seen, self.index, None]
        # A point at p moves at v + w x p = v - [p] w.
        moves = np.zeros((*places.shape, 6))
        moves[..., :3], moves[..., 3:] = self._weight * np.eye(3), -self._weight * skew(places)
        often = (moves * self._counts[at, :, None, None]).reshape(len(seen), -1, 6)
        moves = moves.reshape(len(seen), -1, 6)
        total.touched.add(self.index)
        total.stiffness[seen, self.index] += np.ascontiguousarray(often.swapaxes(1, 2)) @ moves
        rows = moves @ state.jacobians[seen[:, None], self._moves].swapaxes(1, 2)
        if self._free is not None:
            rows = rows @ self._free
        self._places[at] = self._weight * places.reshape(len(seen), -1)
        self.rows[at] = rows

    def steps(self) -> Array:
        """Weighted, from the first frame of each pair to the second ``(pairs, 3 points)``."""
        out: Array = self._places[self.pairs + 1] - self._places[self.pairs]
        return out * self.on[..., 0]


def _neighbours(columns: Array) -> list[tuple[slice, slice]]:
    """Runs of neighbouring numbers among ascending ``columns (n,)``: places and numbers."""
    edges = [0, *(np.flatnonzero(np.diff(columns) != 1) + 1).tolist(), len(columns)]
    return [
        (slice(a, b), slice(int(columns[a]), int(columns[b - 1]) + 1)) for a, b in pairwise(edges)
    ]
