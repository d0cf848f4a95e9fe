"""A robot that plays a trajectory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bvh.rotations import Array, to_matrix
from motiontok.errors import RenderError
from motiontok.render.actors import Part
from motiontok.render.meshes import robot_parts

if TYPE_CHECKING:
    from motiontok.robots import Robot

__all__ = ["RobotActor"]


class RobotActor:
    """A robot drawn with its own visual meshes.

    Args:
        robot: the robot, see :func:`motiontok.robots.load_robot`.
        qpos: ``(frames, nq)`` configurations in Pinocchio order: base position, base
            quaternion (x, y, z, w), joint angles.
        fps: frames per second of ``qpos``.
        label: caption; the robot's name if not given.
        opacity: 1 is solid; less is a ghost.

    Raises:
        RenderError: ``qpos`` is empty, has another shape or is not finite.
        RobotError: a mesh cannot be read.
    """

    def __init__(
        self,
        robot: Robot,
        qpos: Array,
        *,
        fps: float,
        label: str | None = None,
        opacity: float = 1.0,
    ) -> None:
        qpos = np.asarray(qpos, dtype=np.float64)
        nq = robot.model.nq
        if qpos.ndim != 2 or qpos.shape[1] != nq:
            raise RenderError(
                f"{robot.name}: qpos must have shape (frames, {nq}), got {qpos.shape}"
            )
        if not len(qpos):
            raise RenderError(f"{robot.name}: the trajectory has no frames to draw")
        if not np.isfinite(qpos).all():
            frame = int(np.argwhere(~np.isfinite(qpos).all(axis=1))[0, 0])
            raise RenderError(f"{robot.name}: qpos of frame {frame} is not finite")
        self.label = robot.name if label is None else label
        self.fps = float(fps)
        self.opacity = opacity
        self._model: Any = robot.model
        self._data = robot.model.createData()
        self._qpos = qpos
        self.robot = robot
        self._bodies, self._parts = robot_parts(robot, fine=False)
        self.height = self._standing_height()

    def __len__(self) -> int:
        return len(self._qpos)

    def meshes(self, *, fine: bool = True) -> list[Part]:
        """One part a moving body."""
        return robot_parts(self.robot, fine=True)[1] if fine else self._parts

    def poses(self, frame: float) -> Array:
        """``(bodies, 4, 4)`` world_from_body of a frame, or of a moment between two."""
        before = int(frame)
        part = frame - before
        if not part:
            return self._placements(self._qpos[before])
        import pinocchio as pin

        start, end = self._qpos[before], self._qpos[before + 1].copy()
        if start[3:7] @ end[3:7] < 0.0:
            end[3:7] *= -1.0
        return self._placements(pin.interpolate(self._model, start, end, part))

    def roots(self) -> Array:
        """``(frames, 4, 4)`` world_from_base."""
        out = np.zeros((len(self), 4, 4))
        out[:, :3, :3] = to_matrix(self._qpos[:, [6, 3, 4, 5]])
        out[:, :3, 3] = self._qpos[:, :3]
        out[:, 3, 3] = 1.0
        return out

    def _placements(self, q: Array) -> Array:
        import pinocchio as pin

        pin.forwardKinematics(self._model, self._data, q)
        placements = self._data.oMi
        return np.stack([placements[b].homogeneous for b in self._bodies])

    def _standing_height(self) -> float:
        """Top to bottom of the robot at its zero configuration."""
        import pinocchio as pin

        low, high = np.inf, -np.inf
        for pose, part in zip(self._placements(pin.neutral(self._model)), self._parts, strict=True):
            z = part.vertices @ pose[2, :3] + pose[2, 3]
            low, high = min(low, z.min()), max(high, z.max())
        return float(high - low)
