"""How ``motiontok retarget`` lays out the files that it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from motiontok.robots import Robot, Trajectory
    from motiontok.robots.files.trajectory import Order

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """What a robot's trajectory is written as.

    Attributes:
        order: of the base quaternion.
        fps: of the files; None for the motion's, or with ``beyondmimic`` for 50.
        joints: their order with ``beyondmimic``.
        beyondmimic: a tracker's motion, see :mod:`motiontok.robots.files.tracker_writing`.
    """

    order: Order
    fps: float | None
    joints: str
    beyondmimic: bool

    def save(self, trajectory: Trajectory, robot: Robot, path: Path) -> tuple[int, float]:
        """Write it; returns frames and their rate."""
        if self.beyondmimic:
            from motiontok.robots.files.tracker_writing import FPS, save_tracking

            fps = self.fps or FPS
            return save_tracking(trajectory, robot, path, joints=self.joints, fps=fps), fps
        result = trajectory if self.fps is None else trajectory.resample(self.fps)
        result.save(path, order=self.order)
        return len(result), result.fps
