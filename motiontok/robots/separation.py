"""Part a robot's bodies where they run into each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bvh.rotations import Array
from motiontok.robots.collision import Proximities, SelfCollision
from motiontok.robots.contacts import runs
from motiontok.robots.kinematics import Kinematics, Linearization, State
from motiontok.robots.settling import windows
from motiontok.robots.smoothing import Smoothness, smooth
from motiontok.robots.tasks import Task

__all__ = ["SeparationTask", "separate"]

_GAP = 0.002  # m between bodies that were parted
_WATCH = 0.015  # m; closer pairs are watched while others are parted
_DEEP = 0.001  # m; shallower overlaps are let be
_WEIGHT = 600.0  # per metre
_PATIENCE = 2  # rounds without getting shallower before a frame is let be
_STUCK = 0.005  # m; deeper overlaps are worth another try
_ROUNDS = 10
_NEIGHBOURS = 10  # frames
_STEPS = Smoothness(iterations=4)


class SeparationTask:
    """Witness points of close bodies keep a gap along their normals.

    Args:
        kinematics: of all bodies named.
        near: close pairs.
        q: configurations ``(frames, nq)`` in which they were found.
    """

    def __init__(self, kinematics: Kinematics, near: Proximities, q: Array) -> None:
        self.kinematics = kinematics
        self._frames = len(q)
        state = kinematics.evaluate(q)
        self._at = near.frames
        self._normals = near.normals
        self._which = np.array(
            [[kinematics.body_index(b) for b in p] for p in near.bodies.tolist()]
        )
        self._which = self._which.reshape(-1, 2)
        rotations = state.rotations[self._at[:, None], self._which]
        offset = near.points - state.positions[self._at[:, None], self._which]
        self._local = np.einsum("npji,npj->npi", rotations, offset)
        self._moved = np.array(
            [[kinematics.subtree_of(b) for b in p] for p in near.bodies.tolist()]
        ).reshape(-1, 2, kinematics.columns)

    def __getitem__(self, frames: Array | slice) -> SeparationTask:
        chosen = np.arange(self._frames)[frames]
        place = np.full(self._frames, -1)
        place[chosen] = np.arange(len(chosen))
        keep = place[self._at] >= 0
        out = object.__new__(SeparationTask)
        out.kinematics = self.kinematics
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
        points = np.einsum("npij,npj->npi", rotations, self._local)
        points += state.positions[self._at[:, None], self._which]
        short = _GAP - np.einsum("ni,ni->n", points[:, 0] - points[:, 1], self._normals)
        close = np.flatnonzero(short > 0)
        if not len(close):
            return
        at, short, points = self._at[close], short[close], points[close]
        # A body's point x moves along n at J . (n, x x n).
        normals = np.broadcast_to(self._normals[close, None], points.shape)
        wrench = np.concatenate([normals, np.cross(points, normals)], axis=-1)
        along = np.einsum("nvi,npi->npv", state.jacobians[at], wrench) * self._moved[close]
        row = along[:, 0] - along[:, 1]
        matrix, gradient = total.coupling()
        # Rows of one frame stand together: stack them, zeros where a frame has fewer.
        frames, first, counts = np.unique(at, return_index=True, return_counts=True)
        group = np.repeat(np.arange(len(frames)), counts)
        place = np.arange(len(at)) - first[group]
        rows = np.zeros((len(frames), counts.max(), row.shape[1]))
        gaps = np.zeros((len(frames), counts.max(), 1))
        rows[group, place], gaps[group, place, 0] = _WEIGHT * row, _WEIGHT * short
        across = rows.swapaxes(1, 2)
        total.cost[frames] += (gaps * gaps).sum((1, 2))
        gradient[frames] += (across @ gaps)[..., 0]
        matrix[frames] += across @ rows


def separate(
    collision: SelfCollision,
    bodies: Sequence[int],
    make_tasks: Callable[[Kinematics], Sequence[Task]],
    q: Array,
    fps: float,
    speed_limits: Array,
) -> Array:
    """Move overlapping bodies apart, and as little else as possible.

    Args:
        collision: of the robot.
        bodies: Pinocchio joint indices of the bodies that the tasks name.
        make_tasks: builds the tasks of the whole trajectory on given kinematics.
        q: configurations ``(frames, nq)``.
        fps: frames per second.
        speed_limits: ``(joints,)`` rad/s.
    """
    depth = collision.near(q).deepest(len(q))
    if not (depth > _DEEP).any():
        return q
    others = {int(g.parentJoint) for g in collision.geometry.geometryObjects}
    kinematics = Kinematics(
        collision.model, [*bodies, *sorted(others - set(bodies))], collision.coupling
    )
    tasks = make_tasks(kinematics)

    def parted(q: Array, depth: Array) -> tuple[Array, Array]:
        return _rounds(collision, kinematics, tasks, q, depth, fps, speed_limits)

    q, depth = parted(q, depth)
    again = _from_free_neighbours(q, depth)
    if again is not None:
        other, other_depth = parted(again, np.where((again != q).any(axis=1), 1.0, depth))
        # Stretch by stretch, whichever is freer.
        for start, end in runs((other != q).any(axis=1)):
            if other_depth[start:end].sum() < depth[start:end].sum():
                q[start:end] = other[start:end]
    return q


def _rounds(
    collision: SelfCollision,
    kinematics: Kinematics,
    tasks: Sequence[Task],
    q: Array,
    depth: Array,
    fps: float,
    speed_limits: Array,
) -> tuple[Array, Array]:
    """Move deep frames ``depth (frames,)`` until they are free or get no shallower."""
    q, depth, least = q.copy(), depth.copy(), depth.copy()
    stale = np.zeros(len(q), dtype=int)
    for _ in range(_ROUNDS):
        deep = (depth > _DEEP) & (stale < _PATIENCE)
        if not deep.any():
            break
        frames, frozen = windows(deep)
        part = q[frames]
        watched = collision.near(part, margin=_WATCH)
        task = SeparationTask(kinematics, watched, part)
        q[frames] = smooth(
            kinematics,
            [*(t[frames] for t in tasks), task],
            part,
            fps,
            speed_limits,
            _STEPS,
            frozen=frozen,
        )[0]
        found = collision.near(q[frames]).deepest(len(frames))
        # Where the targets hold two bodies inside each other more rounds change nothing.
        stale[frames] = np.where(found < 0.9 * least[frames], 0, stale[frames] + 1)
        least[frames] = np.minimum(least[frames], found)
        depth[frames] = found
    return q, depth


def _from_free_neighbours(q: Array, depth: Array) -> Array | None:
    """Joints of a free frame close by for every frame that is stuck; None if there is none."""
    stuck, free = np.flatnonzero(depth > _STUCK), np.flatnonzero(depth <= _DEEP)
    if not len(stuck) or not len(free):
        return None
    place = np.searchsorted(free, stuck)
    left, right = free[np.maximum(place - 1, 0)], free[np.minimum(place, len(free) - 1)]
    nearest = np.where(np.abs(left - stuck) <= np.abs(right - stuck), left, right)
    close = np.abs(nearest - stuck) <= _NEIGHBOURS
    if not close.any():
        return None
    out = q.copy()
    out[stuck[close], 7:] = q[nearest[close], 7:]
    return out
