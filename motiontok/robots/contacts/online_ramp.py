"""The ramp that a stream walks on, from the last feet that stood.

The counterpart for whole motions is :func:`~motiontok.robots.contacts.ground.find_ground`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from bvh.rotations import Array
from motiontok.robots.contacts.ground import NEAR, RIDGE, STEEP

__all__ = ["RampFinder", "Stand"]

_SHOW = 4  # standing feet in a row that show a ramp
_LATELY = 4.0  # s in which they stood
_KEPT = 8  # standing feet that tell the slope of a known ramp
_RISE = 0.06  # m between the lowest and the highest of those that show it
_STRAIGHT = 0.015  # m that they may be off one plane
_SPREAD = 0.14  # slope that they may be tilted otherwise, 8 degrees
_TILTED = 0.6, 1.5  # of the slope that they are tilted on average
_EACH = 0.25  # of the slope that each foot is tilted at least
_OFF = 0.06  # m that a foot on a known ramp may be off it; its slope is then found anew


@dataclass(frozen=True, eq=False)
class Stand:
    """A foot that stands.

    Attributes:
        side: 0 is left.
        time: s.
        place: ``(3,)`` the sole's middle, metres.
        tilt: ``(2,)`` slope of the sole along x and y.
    """

    side: int
    time: float
    place: Array
    tilt: Array


class RampFinder:
    """Finds the plane under feet that stand one after the other, and follows it.

    Four feet in a row show a ramp if they lie on one plane within 1.5 cm, 6 cm or more apart in
    height, and each is tilted that way. Where they stand tells the slope along the way walked, to a
    fraction of a degree; across it the tilts do, which err by 2 to 6 degrees a foot. A flat floor
    has no feet so far apart in height. Further feet on the ramp make it surer.

    Attributes:
        plane: a, b, c of ``z = a x + b y + c``, if a ramp is known.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.plane: list[float] | None = None
        self._last: deque[Stand] = deque(maxlen=_SHOW)
        self._on: deque[Stand] = deque(maxlen=_KEPT)

    def forget(self) -> None:
        """Forget the ramp, not the feet."""
        self.plane = None
        self._on.clear()

    def push(self, stand: Stand) -> bool:
        """Whether the next foot that stands is on a ramp, which :attr:`plane` follows."""
        self._last.append(stand)
        if self.plane is not None and self._is_on(stand):
            self._on.append(stand)
            self.plane = _plane(self._on).tolist()
            return True
        if len(self._last) < _SHOW or not _show(self._last):
            return False
        self._on.clear()
        self._on.extend(self._last)
        self.plane = _plane(self._on).tolist()
        return True

    def _is_on(self, stand: Stand) -> bool:
        assert self.plane is not None
        a, b, c = self.plane
        x, y, z = stand.place.tolist()
        along = a * stand.tilt[0] + b * stand.tilt[1]
        return bool(abs(z - a * x - b * y - c) < _OFF and along > _EACH * (a * a + b * b))


def _show(stands: deque[Stand]) -> bool:
    """Whether feet that stood one after the other show a ramp."""
    newest = stands[-1]
    places = np.array([s.place for s in stands])
    apart = np.linalg.norm(places[:, :2] - newest.place[:2], axis=1)
    if newest.time - stands[0].time > _LATELY or apart.max() > NEAR:
        return False
    if np.ptp(places[:, 2]) < _RISE or len({s.side for s in stands}) < 2:
        return False
    plane = _plane(stands)
    slope = plane[:2]
    square = float(slope @ slope)
    if not STEEP[0] < np.sqrt(square) < STEEP[1]:
        return False
    tilts = np.array([s.tilt for s in stands])
    off = places[:, 2] - places[:, :2] @ slope - plane[2]
    along = tilts @ slope / square
    return bool(
        np.sqrt(np.mean(off**2)) < _STRAIGHT
        and np.sqrt(np.mean(((tilts - slope) ** 2).sum(axis=1))) < _SPREAD
        and _TILTED[0] < along.mean() < _TILTED[1]
        and along.min() > _EACH
    )


def _plane(stands: deque[Stand]) -> Array:
    """The plane ``(3,)`` under feet."""
    places, tilts = np.array([s.place for s in stands]), np.array([s.tilt for s in stands])
    left = np.array([s.side == 0 for s in stands])
    # Both sides count the same: what tilts a foot inward tilts the other one back.
    sides = [tilts[side].mean(axis=0) for side in (left, ~left) if side.any()]
    middle = places.mean(axis=0)
    across, up = (places - middle)[:, :2], (places - middle)[:, 2]
    matrix = across.T @ across + RIDGE * np.eye(2)
    slope = np.linalg.solve(matrix, across.T @ up + RIDGE * np.mean(sides, axis=0))
    return np.array([*slope, middle[2] - slope @ middle[:2]])
