"""The terms that the solver minimises, each as cost, spatial stiffness and spatial force."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bvh.rotations import Array
from motiontok.robots.kinematics import so3
from motiontok.robots.kinematics.kinematics import Kinematics, Linearization, State
from motiontok.robots.model.outline import Outline
from motiontok.robots.targets import Targets

__all__ = ["BATCH", "FloorTask", "NormalEquations", "PoseTask", "Posture", "Task", "quadratic"]


@dataclass(eq=False)
class Posture:
    """Joints are drawn to reference values: ``sum of weight^2 (reference - q)^2``.

    Attributes:
        reference: ``(frames, joints)`` rad or m.
        weight: ``(frames, joints)``, or anything that broadcasts to it.
    """

    reference: Array
    weight: Array

    def __post_init__(self) -> None:
        if np.ndim(self.weight):
            self.weight = np.broadcast_to(self.weight, self.reference.shape)

    def __getitem__(self, frames: Array | slice) -> Posture:
        weight = self.weight[frames] if np.ndim(self.weight) else self.weight
        return Posture(self.reference[frames], weight)

    def cost(self, joints: Array) -> Array:
        """Cost ``(frames,)`` at joint values ``(frames, joints)``."""
        out: Array = (self.weight**2 * (self.reference - joints) ** 2).sum(-1)
        return out


class Task(Protocol):
    """One term of the cost, for a certain run of frames."""

    def __getitem__(self, frames: Array | slice) -> Task:
        """The same task for some of its frames."""
        ...

    def add(self, state: State, total: Linearization) -> None:
        """Add cost and derivatives at a state of the task's frames."""
        ...


@dataclass(eq=False)
class NormalEquations:
    """All tasks to second order in the robot's own coordinates.

    Attributes:
        cost: ``(frames,)``.
        matrix: ``(frames, nv, nv)`` Gauss-Newton matrix.
        gradient: ``(frames, nv)`` descent direction, half the negative derivative.
    """

    cost: Array
    matrix: Array
    gradient: Array

    def __getitem__(self, frames: Array | slice) -> NormalEquations:
        return NormalEquations(self.cost[frames], self.matrix[frames], self.gradient[frames])

    def __setitem__(self, frames: Array | slice, other: NormalEquations) -> None:
        self.cost[frames] = other.cost
        self.matrix[frames] = other.matrix
        self.gradient[frames] = other.gradient

    def kept(self, frames: Array) -> NormalEquations:
        """Some frames ``(n,)``, ascending, moved to the front of the same memory."""
        for start in range(0, len(frames), BATCH):
            self[start : start + len(frames[start : start + BATCH])] = self[
                frames[start : start + BATCH]
            ]
        return self[: len(frames)]


BATCH = 512
"""Frames computed together: many share what NumPy costs a call, few stay in the cache."""


def quadratic(
    kinematics: Kinematics,
    tasks: Sequence[Task],
    q: Array,
    *,
    out: NormalEquations | None = None,
    see: Callable[[slice, State, Linearization], None] | None = None,
) -> NormalEquations:
    """Sum of tasks at configurations ``q (frames, nq)``.

    Args:
        kinematics: of all bodies that the tasks name.
        tasks: of as many frames.
        q: configurations.
        out: memory to use again, if it is of as many frames at least.
        see: called with the state of each run of frames, and the sum to add to.
    """
    frames, nv = len(q), kinematics.nv
    if out is None or len(out.cost) < frames:
        out = NormalEquations(np.empty(frames), np.empty((frames, nv, nv)), np.empty((frames, nv)))
    out = out[:frames]
    for start in range(0, frames, BATCH):
        part = slice(start, start + BATCH)
        state = kinematics.evaluate(q[part])
        total = kinematics.blank(len(state.positions))
        if see is not None:
            see(part, state, total)
        for task in tasks:
            (task if frames <= BATCH else task[part]).add(state, total)
        out.cost[part] = total.cost
        kinematics.normal_equations(
            state.jacobians, total, out=(out.matrix[part], out.gradient[part])
        )
    return out


class PoseTask:
    """Frames fixed to bodies follow target poses.

    Args:
        kinematics: of all bodies that the targets name.
        targets: the poses; each body at most once.
        chordal: measure angles by their chords, ``2 sin(angle / 2)``. They have no kink at half a
            turn, where the pull of the angle itself changes sides.
    """

    def __init__(self, kinematics: Kinematics, targets: Targets, *, chordal: bool = False) -> None:
        self.kinematics = kinematics
        self._local_places = targets.local_positions
        self._local_turns = targets.local_rotations
        self._residual = so3.chord_between if chordal else so3.log_between
        which = [kinematics.body_index(b) for b in targets.bodies]
        self._touched = which
        # A slice is a view, a list of indices a copy.
        self._which: slice | list[int] = which
        if which == list(range(len(which))):
            self._which = slice(0, len(which))
        # Components first, see so3. The bodies' own wanted attitudes, one product less.
        shape = targets.positions.shape[:2]
        bodies = targets.rotations @ targets.local_rotations.swapaxes(-1, -2)
        self._rotations = so3.wrapped(bodies.transpose(2, 3, 0, 1))
        self._positions = np.ascontiguousarray(targets.positions.transpose(2, 0, 1))
        self._local = _spread(targets.local_positions.T[:, None], (3, *shape))
        self._wp = _spread(targets.position_weights**2, shape)
        self._wr = _spread(targets.rotation_weights**2, shape)

    def __getitem__(self, frames: Array | slice) -> PoseTask:
        out = object.__new__(PoseTask)
        out.kinematics, out._which = self.kinematics, self._which
        out._touched = self._touched
        out._local_places, out._local_turns = self._local_places, self._local_turns
        out._residual = self._residual
        out._rotations = self._rotations[:, :, frames]
        out._positions, out._local = self._positions[:, frames], self._local[:, frames]
        out._wp, out._wr = self._wp[frames], self._wr[frames]
        return out

    def poses(self, state: State) -> tuple[Array, Array]:
        """World rotations ``(frames, tracked, 3, 3)`` and positions of the tracked frames."""
        bodies = state.rotations[:, self._which]
        offsets = bodies @ self._local_places[..., None]
        positions = state.positions[:, self._which] + offsets[..., 0]
        return bodies @ self._local_turns, positions

    def cost(self, state: State) -> Array:
        """Cost ``(frames,)`` at a state of the task's frames."""
        total = self.kinematics.blank(len(state.positions))
        self.add(state, total)
        return total.cost

    def add(self, state: State, total: Linearization) -> None:
        """Add cost and derivatives at a state of the task's frames."""
        total.touched.update(self._touched)
        wp, wr = self._wp, self._wr
        bodies = so3.wrapped(state.rotations[:, self._which].transpose(2, 3, 0, 1))
        points = (bodies[:3] * self._local).sum(1)
        points += state.positions[:, self._which].transpose(2, 0, 1)
        gap = self._positions - points
        turn = self._residual(self._rotations, bodies)
        pull, twist = wp * gap, wr * turn.pull
        total.cost += ((pull * gap).sum(0) + wr * turn.square).sum(1)
        force = np.empty((6, *wp.shape))
        force[:3] = pull
        np.add(so3.cross(so3.wrapped(points), so3.wrapped(pull)), twist, out=force[3:])
        total.force[:, self._which] += force.transpose(1, 2, 0)
        # A body with twist (v, w) about the origin moves a point p at v - [p] w, so the
        # position's share is wp [1, -[p]; [p], -[p]^2] with [p]^2 = p p^T - |p|^2 1.
        lever = wp * points
        features = np.empty((14, *wp.shape))
        features[0], features[2:5] = wp, lever
        features[1] = (lever * points).sum(0) + wr * turn.across
        outer = features[5:].reshape(3, 3, *wp.shape)
        np.multiply((turn.along * twist)[:, None], turn.pull, out=outer)
        outer -= lever[:, None] * points
        stiffness = features.reshape(14, -1).T @ _STIFFNESS
        total.stiffness[:, self._which] += stiffness.reshape(*wp.shape, 6, 6)


def _spread(values: Array, shape: tuple[int, ...]) -> Array:
    """Values repeated to a shape, since NumPy's own broadcasting is slow here."""
    return values if values.shape == shape else np.ascontiguousarray(np.broadcast_to(values, shape))


def _stiffness_layout() -> Array:
    """``(14, 36)`` places of a stiffness's wp, reach, lever and outer product in its 6x6."""
    out = np.zeros((14, 6, 6))
    for axis in range(3):
        out[0, axis, axis] = out[1, 3 + axis, 3 + axis] = 1.0
    out[2:5, :3, 3:] = -so3.skew(np.eye(3))
    out[2:5, 3:, :3] = so3.skew(np.eye(3))
    for row in range(3):
        for column in range(3):
            out[5 + 3 * row + column, 3 + row, 3 + column] = 1.0
    return out.reshape(14, 36)


_STIFFNESS = _stiffness_layout()


class FloorTask:
    """Points fixed to bodies stay above the floor.

    Args:
        kinematics: of all bodies named.
        outline: the points.
        weight: per metre below the floor, upright.
        tolerance: metres below the floor that cost nothing.
        planes: ``(frames, bodies, 3)`` the floor ``z = a x + b y + c`` under each of the
            outline's bodies, ascending; z = 0 under all, if not given.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        outline: Outline,
        *,
        weight: float,
        tolerance: float = 0.001,
        planes: Array | None = None,
    ) -> None:
        self._kinematics = kinematics
        self.weight = weight
        self.tolerance = tolerance
        clouds = outline.clouds
        self._which = np.array([kinematics.body_index(c.body) for c in clouds], dtype=int)
        self._points = [c.points for c in clouds]
        self._middles = np.array([c.middle for c in clouds]).reshape(-1, 3)
        self._radii = np.array([c.radius for c in clouds])
        self._moments = [c.moments for c in clouds]
        self._planes = planes

    def __getitem__(self, frames: Array | slice) -> FloorTask:
        if self._planes is None:
            return self
        out = copy.copy(self)
        out._planes = self._planes[frames]
        return out

    def cost(self, state: State) -> Array:
        """Cost ``(frames,)`` at a state of the task's frames."""
        total = self._kinematics.blank(len(state.positions))
        self.add(state, total)
        return total.cost

    def softened(self, share: float) -> FloorTask:
        """The same task with a share of the weight."""
        out = copy.copy(self)
        out.weight = share * self.weight
        return out

    def add(self, state: State, total: Linearization) -> None:
        """Add cost and derivatives at a state of the task's frames."""
        up, level = state.rotations[:, self._which, 2], state.positions[:, self._which, 2]
        reach: Array = self._radii
        if self._planes is not None:
            a, b, c = self._planes.transpose(2, 0, 1)
            up = up - a[..., None] * state.rotations[:, self._which, 0]
            up -= b[..., None] * state.rotations[:, self._which, 1]
            level = level - a * state.positions[:, self._which, 0]
            level -= b * state.positions[:, self._which, 1] + c
            reach = reach * np.sqrt(1.0 + a * a + b * b)
        near = np.einsum("tbi,bi->tb", up, self._middles) + level < reach - self.tolerance
        found = []
        for b in np.flatnonzero(near.any(axis=0)).tolist():
            rows, points = np.flatnonzero(near[:, b]), self._points[b]
            depth = -self.tolerance - (up[rows, b] @ points.T + level[rows, b, None])
            below = depth > 0.0
            hit = np.flatnonzero(below.any(axis=1))
            if len(hit):
                depth = np.maximum(depth[hit], 0.0)
                moments, cost = self._moments[b], (depth * depth).sum(axis=1)
                squares, pulls = below[hit] @ moments[:, :16], depth @ moments[:, 16:]
                found.append((rows[hit], np.full(len(hit), b), squares, pulls, cost))
                total.touched.add(int(self._which[b]))
        if found:
            self._push(state, total, *(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def _push(
        self,
        state: State,
        total: Linearization,
        rows: Array,
        b: Array,
        squares: Array,
        pulls: Array,
        cost: Array,
    ) -> None:
        """Push bodies ``b (n,)`` of frames ``rows`` up.

        Args:
            state, total: of the task's frames.
            rows, b: frames and bodies.
            squares: ``(n, 16)`` sums of (p, 1) (p, 1)^T over a body's points p below the floor,
                in its frame.
            pulls: ``(n, 4)`` sums of their depths times (p, 1).
            cost: ``(n,)`` sums of their squared depths.
        """
        body = self._which[b]
        place = np.zeros((len(rows), 4, 4))
        place[:, :3, :3], place[:, :3, 3] = state.rotations[rows, body], state.positions[rows, body]
        place[:, 3, 3] = 1.0
        along = _UPWARD
        if self._planes is not None:
            normals = np.ones((len(rows), 3))
            normals[:, :2] = -self._planes[rows, b, :2]
            along = np.zeros((len(rows), 6, 4))
            along[:, :3, 3], along[:, 3:, :3] = normals, -so3.skew(normals)
        along = along @ place
        weight = self.weight**2
        total.cost += np.bincount(rows, weight * cost, len(total.cost))
        total.force[rows, body] += weight * (along @ pulls[..., None])[..., 0]
        squares = squares.reshape(-1, 4, 4)
        total.stiffness[rows, body] += weight * (along @ squares @ along.swapaxes(1, 2))


# A point at p moves along n at (n, p x n) . (v, w), and p x n = -[n] p: of (p, 1), upright.
_UPWARD = np.zeros((6, 4))
_UPWARD[2, 3] = _UPWARD[3, 1] = 1.0
_UPWARD[4, 0] = -1.0
