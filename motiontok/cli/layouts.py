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

    def at_rate(self, trajectory: Trajectory, robot: Robot) -> Trajectory:
        """The trajectory at the files' rate."""
        if self.beyondmimic:
            from motiontok.robots.files.tracker_writing import FPS, smoothly_at

            return smoothly_at(trajectory, robot, self.fps or FPS)
        return trajectory if self.fps is None else trajectory.resample(self.fps)

    def save(self, written: Trajectory, robot: Robot, path: Path) -> None:
        """Write a trajectory that is :meth:`at_rate`."""
        if self.beyondmimic:
            from motiontok.robots.files.tracker_writing import save_tracking

            save_tracking(written, robot, path, joints=self.joints, fps=written.fps)
        else:
            written.save(path, order=self.order)
