"""Points that stand or lie on the ground do not move: a cost that couples frames.

What stands is wherever the whole trajectory puts it, but there it stays: slide costs, not
the distance from a place chosen beforehand. Two neighbouring frames are coupled through
the degrees of freedom that move the point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bvh.rotations import Array
from motiontok.robots.kinematics import Kinematics, State
from motiontok.robots.so3 import skew

__all__ = ["Hold", "Stillness"]


@dataclass(frozen=True, eq=False)
class Hold:
    """A point of a body that stays where it is.

    Attributes:
        body: Pinocchio joint index.
        point: ``(3,)`` in the body's frame, metres.
        standing: ``(frames,)`` when it stays.
    """

    body: int
    point: Array
    standing: Array

    def __getitem__(self, frames: Array | slice) -> Hold:
        return replace(self, standing=self.standing[frames])


class Stillness:
    """Cost of held points that move, of a run of frames.

    Args:
        kinematics: of all bodies named.
        holds: of as many frames each.
        weight: per metre from frame to frame.
    """

    def __init__(self, kinematics: Kinematics, holds: Sequence[Hold], weight: float) -> None:
        bodies = dict.fromkeys(h.body for h in holds if (h.standing[1:] & h.standing[:-1]).any())
        self._bodies = [
            _Body(kinematics, body, [h for h in holds if h.body == body], weight) for body in bodies
        ]

    def see(self, frames: Array, state: State) -> None:
        """Take notice of the state of some frames ``(n,)``."""
        for body in self._bodies:
            body.see(frames, state)

    def cost(self, frames: int) -> Array:
        """Cost ``(frames,)``; a step counts at its first frame."""
        out = np.zeros(frames)
        for body in self._bodies:
            out[body.pairs] += (body.steps() ** 2).sum(1)
        return out

    def add(self, matrix: Array, gradient: Array) -> list[tuple[Array, Array, Array]]:
        """Add to a system of the frames seen.

        Args:
            matrix: ``(frames, nv, nv)``, of each frame alone.
            gradient: ``(frames, nv)`` descent direction.

        Returns:
            Of each body its columns ``(n,)``, first frames of pairs ``(pairs,)``, and the
            block ``(pairs, n, n)`` that couples them with the next frame's.
        """
        beside = []
        for body in self._bodies:
            columns, first = body.columns, body.pairs
            before, after = body.rows[first] * body.on, body.rows[first + 1] * body.on
            steps = body.steps()[:, None]
            gradient[first[:, None], columns] += (steps @ before)[:, 0]
            gradient[first[:, None] + 1, columns] -= (steps @ after)[:, 0]
            i, j = columns[:, None], columns[None]
            across = before.swapaxes(1, 2)
            matrix[first[:, None, None], i, j] += across @ before
            matrix[first[:, None, None] + 1, i, j] += after.swapaxes(1, 2) @ after
            beside.append((columns, first, -across @ after))
        return beside


class _Body:
    """Held points of one body: where they are, and how each degree of freedom moves them.

    Attributes:
        columns: ``(n,)`` degrees of freedom that move the body.
        pairs: frames that stand as their next frames do.
        on: ``(pairs, 3 points, 1)`` which points stand in both frames.
        rows: ``(frames, 3 points, n)``, weighted.
    """

    def __init__(
        self, kinematics: Kinematics, body: int, holds: Sequence[Hold], weight: float
    ) -> None:
        self._body = kinematics.body_index(body)
        self._points = np.array([h.point for h in holds])
        self._weight = weight
        moves = kinematics.subtree_of(body)
        self._moves = np.flatnonzero(moves)
        # From all degrees of freedom to the free ones, where some joints follow others.
        free = kinematics.free(np.eye(kinematics.columns))[self._moves]
        self.columns = np.flatnonzero(free.any(axis=0))
        self._free = None if kinematics.coupling is None else free[:, self.columns]
        standing = np.stack([h.standing for h in holds], axis=1)
        both = standing[1:] & standing[:-1]
        self.pairs = np.flatnonzero(both.any(axis=1))
        self.on = np.repeat(both[self.pairs], 3, axis=1)[..., None].astype(float)
        self._standing: Array = np.asarray(standing.any(axis=1))
        self.rows = np.zeros((len(standing), 3 * len(holds), len(self.columns)))
        self._places = np.zeros((len(standing), 3 * len(holds)))

    def see(self, frames: Array, state: State) -> None:
        seen = np.flatnonzero(self._standing[frames])
        if not len(seen):
            return
        turned = self._points @ state.rotations[seen, self._body].swapaxes(1, 2)
        places = turned + state.positions[seen, self._body, None]
        twists = state.jacobians[seen[:, None], self._moves].swapaxes(1, 2)
        # A point at p moves at v + w x p = v - [p] w.
        moved = twists[:, None, :3] - skew(places) @ twists[:, None, 3:]
        if self._free is not None:
            moved = moved @ self._free
        at = frames[seen]
        self._places[at] = self._weight * places.reshape(len(seen), -1)
        self.rows[at] = self._weight * moved.reshape(len(seen), -1, len(self.columns))

    def steps(self) -> Array:
        """Weighted, from the first frame of each pair to the second ``(pairs, 3 points)``."""
        out: Array = self._places[self.pairs + 1] - self._places[self.pairs]
        return out * self.on[..., 0]
