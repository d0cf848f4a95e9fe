"""A clip as its file states it: source names, axes, units and channel order."""

from __future__ import annotations

from dataclasses import dataclass, field

from bvh.forward_kinematics import forward_kinematics
from bvh.rotations import Array

__all__ = ["Clip"]


@dataclass(frozen=True, eq=False)
class Clip:
    """Motion capture in the units and axes of its source file.

    Attributes:
        names: joint names, parents before children.
        parents: index of each joint's parent, -1 for the root.
        offsets: ``(joints, 3)`` rest offset of each joint from its parent, source units.
        channels: per joint, its channels in file order, such as
            ``("Xposition", "Yposition", "Zposition", "Zrotation", "Yrotation", "Xrotation")``.
        rotations: ``(frames, joints, 4)`` local unit quaternions (w, x, y, z).
        positions: ``(frames, joints, 3)`` local positions, source units: a joint's position
            channels if it has them, else its offset.
        frame_time: seconds per frame.
        end_sites: joint index -> offset (3,) of its ``End Site``.
        name: name of the source, for messages (a file's stem).
        remarks: assumptions made in reading it, one line each; see :class:`bvh.Report`.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Array
    channels: tuple[tuple[str, ...], ...]
    rotations: Array
    positions: Array
    frame_time: float
    end_sites: dict[int, Array] = field(default_factory=dict)
    name: str = "clip"
    remarks: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.rotations)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return 1.0 / self.frame_time

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames * self.frame_time

    def global_transforms(self) -> tuple[Array, Array]:
        """Global rotations ``(frames, joints, 4)`` and positions ``(frames, joints, 3)``."""
        return forward_kinematics(self.rotations, self.positions, self.parents)

    def global_positions(self) -> Array:
        """Global joint positions ``(frames, joints, 3)`` in source units and axes."""
        return self.global_transforms()[1]
