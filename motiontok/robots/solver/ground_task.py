"""Bodies of a few frames stay above the ground: all their points in a few large calls.

The cost is that of :class:`~motiontok.robots.solver.tasks.FloorTask`, which is for many frames.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from bvh.rotations import Array, cross
from motiontok.robots.kinematics.kinematics import Kinematics, State
from motiontok.robots.model.outline import Outline
from motiontok.robots.solver.tasks import NormalEquations

__all__ = ["GroundTask"]

_TOLERANCE = 0.001  # m below ground that cost nothing
_HIGH = 1e3  # m: where points stand that fill up rows


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
        count = max(len(cloud) for cloud in clouds)
        # Columns of a body are its points (x, y, z, 1), and how much higher fillers stand.
        self._points = np.zeros((len(clouds), 5, count))
        self._points[:, 3] = 1.0
        self._points[:, 4] = _HIGH
        # Centres of spheres around them (x, y, z, 1).
        self._spheres = np.zeros((len(clouds), 4))
        self._spheres[:, 3] = 1.0
        self._reach = np.full(len(clouds), -np.inf)
        for k, cloud in enumerate(clouds):
            if len(cloud):
                self._points[k, :3, : len(cloud)] = cloud.T
                self._points[k, 4, : len(cloud)] = 0.0
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

    def heights(self, state: State) -> tuple[Array, Array, Array]:
        """Heights ``(n, points)`` of bodies near the ground, and their frames and bodies."""
        # Of a point (x, y, z, 1) in a body the height; and of what fills up rows.
        up = np.empty((*state.positions.shape[:2], 5))
        up[..., :3], up[..., 3] = state.rotations[:, :, 2], state.positions[:, :, 2]
        up[..., 4] = 1.0
        reach = self._reach
        if self._planes is not None:
            slopes, across = self._planes[..., None, :2], state.rotations[:, :, :2]
            up[..., :3] -= (slopes @ across)[:, :, 0]
            up[..., 3] -= (slopes[:, :, 0] * state.positions[..., :2]).sum(-1)
            up[..., 3] -= self._planes[..., 2]
            reach = reach * np.sqrt(1.0 + (slopes * slopes).sum((2, 3)))
        middles = np.einsum("fbi,bi->fb", up[..., :4], self._spheres)
        frames, bodies = (middles < reach).nonzero()
        rows = up[frames, bodies]
        return (rows[:, None] @ self._points[bodies])[:, 0], frames, bodies

    def add(self, state: State, total: NormalEquations, weights: Sequence[float]) -> float:
        """Add cost and derivatives of all degrees of freedom; the last frame's lowest height.

        Args:
            state: of the total's frames, and maybe of one more, which is only looked at.
            total: to add to.
            weights: of each of the total's frames or more, per metre below ground, upright.
        """
        heights, frames, bodies = self.heights(state)
        last = int(frames.searchsorted(len(state.positions) - 1))
        lowest = float(heights[last:].min(initial=0.0))
        known = last if len(state.positions) > len(total.cost) else len(heights)
        at, which = (heights[:known] < -_TOLERANCE).nonzero()
        if not len(at):
            return lowest
        frames, bodies = frames[at], bodies[at]
        weight = np.array(weights)[frames]
        depths = weight * (-_TOLERANCE - heights[at, which])
        points = self._points[bodies, :3, which]
        places = (state.rotations[frames, bodies] @ points[..., None])[..., 0]
        places += state.positions[frames, bodies]
        # A point at p moves along n at (n, p x n) . (v, w); upright v_z + p_y w_x - p_x w_y.
        if self._planes is None:
            moving = slice(2, 5)
            wrenches = np.empty((len(at), 3))
            wrenches[:, 0] = weight
            wrenches[:, 1] = weight * places[:, 1]
            wrenches[:, 2] = -weight * places[:, 0]
        else:
            moving = slice(0, 6)
            wrenches = np.empty((len(at), 6))
            wrenches[:, :2] = -weight[:, None] * self._planes[frames, bodies, :2]
            wrenches[:, 2] = weight
            wrenches[:, 3:] = cross(places, wrenches[:, :3])
        moved = self._moved[bodies]
        edges = frames.searchsorted(np.arange(len(total.cost) + 1)).tolist()
        for frame, (first, last) in enumerate(pairwise(edges)):
            if first == last:
                continue
            rows = wrenches[first:last] @ state.jacobians[frame, :, moving].T
            rows *= moved[first:last]
            depth = depths[first:last]
            total.cost[frame] += depth @ depth
            total.matrix[frame] += rows.T @ rows
            total.gradient[frame] += depth @ rows
        return lowest
