"""Bodies of a few frames stay above the ground: all their points in a few large calls.

The cost is that of :class:`~motiontok.robots.solver.tasks.FloorTask`, which is for many frames.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from bvh.rotations import Array, cross
from motiontok.robots.kinematics.kinematics import Kinematics, PlacedState
from motiontok.robots.model.outline import Outline
from motiontok.robots.solver.tasks import NormalEquations

__all__ = ["GroundTask"]

_TOLERANCE = 0.001  # m below ground that cost nothing


class GroundTask:
    """Points fixed to bodies stay above the ground, z = 0 unless :meth:`on` other planes.

    Args:
        kinematics: of all bodies named.
        outline: the points.
        feet: Pinocchio joint indices of the left and the right foot, which may be on planes of
            their own.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        outline: Outline,
        *,
        feet: Sequence[int] = (),
    ) -> None:
        self._planes: Array | None = None
        supports = [set(kinematics.model.supports[b].tolist()) for b in kinematics.bodies]
        self._under = np.array(
            [next((k for k, f in enumerate(feet) if f in s), len(feet)) for s in supports]
        )
        clouds = [outline.of(body) for body in kinematics.bodies]
        self._counts = np.array([len(cloud) for cloud in clouds])
        # Columns of a body are its points (x, y, z, 1), the first again where it has fewer.
        self._points = np.zeros((len(clouds), 4, int(self._counts.max())))
        self._points[:, 3] = 1.0
        # Centres of spheres around them (x, y, z, 1).
        self._spheres = np.zeros((len(clouds), 4))
        self._spheres[:, 3] = 1.0
        self._reach = np.full(len(clouds), -np.inf)
        for k, cloud in enumerate(clouds):
            if len(cloud):
                self._points[k, :3] = cloud[:1].T
                self._points[k, :3, : len(cloud)] = cloud.T
                self._spheres[k, :3] = cloud.mean(axis=0)
                self._reach[k] = np.linalg.norm(cloud - self._spheres[k, :3], axis=1).max()
        self._moved = np.stack([kinematics.subtree_of(body) for body in kinematics.bodies])

    def __getitem__(self, frames: Array | slice) -> GroundTask:
        if self._planes is None:
            return self
        out = copy.copy(self)
        out._planes = self._planes[frames]
        return out

    def on(self, planes: Array | None) -> GroundTask:
        """The same on planes ``z = a x + b y + c`` under the feet and all else.

        Args:
            planes: ``(frames, 3, 3)`` of left foot, right foot and the rest; None is z = 0.
        """
        if planes is None:
            return self
        out = copy.copy(self)
        out._planes = planes[:, self._under]
        return out

    def heights(self, state: PlacedState) -> tuple[Array, Array, Array]:
        """Heights ``(n, points)`` of bodies near the ground, and their frames and bodies.

        Bodies of fewer points have the first one's height again.
        """
        # Of a point (x, y, z, 1) in a body the height.
        reach = self._reach
        if self._planes is None:
            up = state.rows[..., 2]
        else:
            slopes = self._planes[..., :2]
            up = state.rows[..., 2] - (state.rows[..., :2] @ slopes[..., None])[..., 0]
            up[..., 3] -= self._planes[..., 2]
            reach = reach * np.sqrt(1.0 + (slopes * slopes).sum(-1))
        middles = np.einsum("fbi,bi->fb", up, self._spheres)
        frames, bodies = (middles < reach).nonzero()
        rows = up[frames, bodies]
        return (rows[:, None] @ self._points.take(bodies, axis=0))[:, 0], frames, bodies

    def add(self, state: PlacedState, total: NormalEquations, weights: Sequence[float]) -> float:
        """Add cost and derivatives of all degrees of freedom; the last frame's lowest height.

        Args:
            state: of the total's frames, and maybe of one more, which is only looked at.
            total: to add to.
            weights: of each of the total's frames or more, per metre below ground, upright.
        """
        heights, frames, bodies = self.heights(state)
        if not len(heights):
            return 0.0
        count, seen = len(total.cost), len(state.rows)
        last = int(frames.searchsorted(seen - 1))
        lowest = float(heights[last:].min(initial=0.0))
        low = heights < -_TOLERANCE
        if seen > count:
            low = low[:last]
        at, which = low.nonzero()
        if len(at):
            real = which < self._counts[bodies[at]]
            if not real.all():
                at, which = at[real], which[real]
            self._press(state, total, np.array(weights), heights[at, which], which,
                        frames[at], bodies[at])  # fmt: skip
        return lowest

    def _press(
        self,
        state: PlacedState,
        total: NormalEquations,
        weights: Array,
        heights: Array,
        which: Array,
        frames: Array,
        bodies: Array,
    ) -> None:
        """Add cost and derivatives of points below ground, given heights, frames and bodies."""
        count, points = len(total.cost), len(heights)
        weight = weights[frames]
        depths = weight * (-_TOLERANCE - heights)
        # A point at p moves along n at (n, p x n) . (v, w); upright v_z + p_y w_x - p_x w_y.
        places = (self._points[bodies, :, which][:, None] @ state.rows[frames, bodies])[:, 0]
        # Of all frames at once; a point's row is zero in others than its own.
        if self._planes is None:
            moving = slice(2, 5)
            wrenches = np.zeros((count, points, 3))
            own = np.empty((points, 3))
            own[:, 0] = weight
            np.multiply(places[:, 1], weight, out=own[:, 1])
            np.multiply(places[:, 0], -weight, out=own[:, 2])
        else:
            moving = slice(0, 6)
            wrenches = np.zeros((count, points, 6))
            own = np.empty((points, 6))
            own[:, :2] = -weight[:, None] * self._planes[frames, bodies, :2]
            own[:, 2] = weight
            own[:, 3:] = cross(places, own[:, :3])
        wrenches[frames, np.arange(points)] = own
        rows = wrenches @ state.jacobians[:count, :, moving].swapaxes(1, 2)
        rows *= self._moved[bodies]
        total.matrix += rows.swapaxes(1, 2) @ rows
        total.gradient += depths @ rows
        total.cost += np.bincount(frames, depths * depths, count)
