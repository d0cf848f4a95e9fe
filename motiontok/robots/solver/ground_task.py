"""Bodies of a few frames stay above the ground: all their points in a few large calls.

The cost is that of :class:`~motiontok.robots.solver.tasks.FloorTask`, which is for many frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from bvh.rotations import Array
from motiontok.robots.kinematics.kinematics import Kinematics, Linearization, State
from motiontok.robots.model.outline import Outline

__all__ = ["GroundTask"]

_TOLERANCE = 0.001  # m below ground that cost nothing
_HIGH = 1e3  # m: where points stand that fill up rows


class GroundTask:
    """Points fixed to bodies stay above z = 0.

    Args:
        kinematics: of all bodies named.
        outline: the points.
        weights: of each of some frames, per metre below ground, upright.
    """

    def __init__(
        self, kinematics: Kinematics, outline: Outline, *, weights: Sequence[float]
    ) -> None:
        self._weights = np.array(weights)
        clouds = [outline.of(body) for body in kinematics.bodies]
        count = max(len(cloud) for cloud in clouds)
        # Columns of a body are its points (x, y, z, 1), and how much higher fillers stand.
        self._points = np.zeros((len(clouds), 5, count))
        self._points[:, 3] = 1.0
        self._points[:, 4] = _HIGH
        self._spheres = np.zeros((len(clouds), 3))
        self._reach = np.full(len(clouds), -np.inf)
        for k, cloud in enumerate(clouds):
            if len(cloud):
                self._points[k, :3, : len(cloud)] = cloud.T
                self._points[k, 4, : len(cloud)] = 0.0
                self._spheres[k] = cloud.mean(axis=0)
                self._reach[k] = np.linalg.norm(cloud - self._spheres[k], axis=1).max()
        self._moved = np.stack([kinematics.subtree_of(body) for body in kinematics.bodies])

    def __getitem__(self, frames: Array | slice) -> GroundTask:
        return self

    def heights(self, state: State) -> tuple[Array, Array, Array]:
        """Heights ``(n, points)`` of bodies near the ground, and their frames and bodies."""
        up, level = state.rotations[:, :, 2], state.positions[:, :, 2]
        middles = np.einsum("fbi,bi->fb", up, self._spheres) + level
        frames, bodies = (middles < self._reach).nonzero()
        rows = np.ones((len(frames), 1, 5))
        rows[:, 0, :3], rows[:, 0, 3] = up[frames, bodies], level[frames, bodies]
        return (rows @ self._points[bodies])[:, 0], frames, bodies

    def add(self, state: State, total: Linearization) -> None:
        """Add cost and derivatives at a state."""
        heights, frames, bodies = self.heights(state)
        at, which = (heights < -_TOLERANCE).nonzero()
        if not len(at):
            return
        frames, bodies = frames[at], bodies[at]
        weights = self._weights[frames]
        depths = weights * (-_TOLERANCE - heights[at, which])
        points = self._points[bodies, :3, which]
        places = (state.rotations[frames, bodies, :2] @ points[..., None])[..., 0]
        places += state.positions[frames, bodies, :2]
        # A point at p moves along z at (e, p x e) . (v, w) = v_z + p_y w_x - p_x w_y.
        wrenches = np.empty((len(at), 3))
        wrenches[:, 0] = weights
        wrenches[:, 1] = weights * places[:, 1]
        wrenches[:, 2] = -weights * places[:, 0]
        moved = self._moved[bodies]
        matrix, gradient = total.coupling()
        edges = np.searchsorted(frames, np.arange(len(state.positions) + 1)).tolist()
        for frame, (first, last) in enumerate(pairwise(edges)):
            if first == last:
                continue
            rows = wrenches[first:last] @ state.jacobians[frame, :, 2:5].T
            rows *= moved[first:last]
            depth = depths[first:last]
            total.cost[frame] += depth @ depth
            matrix[frame] += rows.T @ rows
            gradient[frame] += depth @ rows
