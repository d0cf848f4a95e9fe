"""Moving decoded motion on the floor to the robot's measured place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh import rotations as rot
from bvh.rotations import Array
from motiontok.data import Start

__all__ = ["Shift"]

_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Shift:
    """A turn about the origin and then a move along the floor.

    Attributes:
        x, y: of the move, m.
        yaw: of the turn, rad.
    """

    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0

    @classmethod
    def between(cls, old: Start, new: Start) -> Shift:
        """The shift from one pose to another."""
        yaw = rot.wrapped(new.yaw - old.yaw)
        x, y = _turned(np.array([old.x, old.y]), yaw)
        return cls(new.x - float(x), new.y - float(y), float(yaw))

    def after(self, first: Shift) -> Shift:
        """This shift after another one."""
        x, y = self.of(np.array([first.x, first.y]))
        return Shift(float(x), float(y), self.yaw + first.yaw)

    def back(self) -> Shift:
        """The inverse shift."""
        x, y = _turned(np.array([-self.x, -self.y]), -self.yaw)
        return Shift(float(x), float(y), -self.yaw)

    def part(self, share: float, pivot: Start) -> Shift:
        """A share of the shift, along the straight way of one place."""
        place = np.array([pivot.x, pivot.y])
        to = place + share * (self.of(place) - place)
        x, y = to - _turned(place, share * self.yaw)
        return Shift(float(x), float(y), share * self.yaw)

    def of(self, places: Array) -> Array:
        """Places ``(..., 2)`` moved."""
        return _turned(places, self.yaw) + [self.x, self.y]

    def of_pose(self, pose: Start) -> Start:
        """A pose moved."""
        x, y = self.of(np.array([pose.x, pose.y]))
        return Start(float(x), float(y), pose.yaw + self.yaw)

    def of_row(self, row: Array) -> Array:
        """Numbers that begin with a place (3) and a quaternion (w, x, y, z), moved."""
        out = row.copy()
        out[:2] = self.of(row[:2])
        out[3:7] = rot.multiply(rot.from_axis_angle(_UP, np.asarray(self.yaw)), row[3:7])
        return out


def _turned(places: Array, yaw: float) -> Array:
    x, y = np.moveaxis(np.asarray(places, dtype=np.float64), -1, 0)
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
