"""Lock the feet of a stream, without look-ahead.

The counterpart for whole trajectories is :mod:`~motiontok.robots.contacts.offline_foot_lock`.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from bvh.foot_contacts import SIDES, SLOW, SPAN
from bvh.rotations import Array
from motiontok.robots.contacts.online_contacts import Soles
from motiontok.robots.contacts.online_ground import Point
from motiontok.robots.model.calibration import Calibration, Sole
from motiontok.robots.targets import Targets

__all__ = ["FootLock"]

_DRAG = 0.05  # m that a standing point may drift before its anchor follows
_FADE = 0.12  # s in which a correction fades after the foot has lifted
_FIRMER = 1.5


class FootLock:
    """Holds standing feet of a stream flat on the ground, at the places where they first stood.

    Args:
        calibration: of the robot.
        scale: of the robot to the person.
        fps: frames per second of the stream.
    """

    def __init__(self, calibration: Calibration, scale: float, fps: float) -> None:
        self._scale = scale
        self._feet = [
            _Foot(calibration.index(name + "Foot"), calibration.soles[name + "Foot"], fps)
            for name in SIDES
        ]

        self._firmer: dict[tuple[int, ...], Array] = {}
        left, right = (foot.index for foot in self._feet)
        for firm in ([left], [right], [left, right]):
            factors = self._firmer[tuple(firm)] = np.ones(len(calibration.bodies))
            factors[firm] = _FIRMER

    @property
    def standing(self) -> Array:
        """Which points stand now ``(4,)``: left heel and toe, right heel and toe."""
        return np.array([a is not None for foot in self._feet for a in foot.anchors])

    def reset(self) -> None:
        """Forget the stream."""
        for foot in self._feet:
            foot.reset()

    def apply(self, targets: Targets, soles: Soles) -> Targets:
        """The targets of one frame with standing feet held; their poses are changed in place.

        Args:
            targets: of one frame.
            soles: of the person in that frame.
        """
        firm = []
        for side, foot in enumerate(self._feet):
            ends = slice(2 * side, 2 * side + 2)
            a, b, c = soles.planes[side]
            if foot.hold(
                targets.positions[0, foot.index],
                targets.rotations[0, foot.index],
                soles.places[ends],
                soles.low[ends],
                [a, b, self._scale * c],
            ):
                firm.append(foot.index)
        if not firm:
            return targets
        firmer = self._firmer[tuple(firm)]
        return Targets(
            targets.bodies,
            targets.local_rotations,
            targets.local_positions,
            targets.rotations,
            targets.positions,
            firmer * targets.rotation_weights,
            firmer * targets.position_weights,
            targets.fps,
        )


class _Foot:
    """One foot: the places of its standing heel and toe, and the shift of its target."""

    def __init__(self, index: int, sole: Sole, fps: float) -> None:
        self.index = index
        self._points = np.stack([sole.heel, sole.toe], axis=1)
        self._span = max(round(SPAN * fps), 1)
        self._reach = self._span * SLOW / fps  # m meanwhile
        self._rest = max(0.0, 1.0 - 1.0 / (_FADE * fps))
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._before: deque[list[Point]] = deque(maxlen=self._span)
        self.anchors: list[Point | None] = [None, None]
        self._shift = [0.0, 0.0, 0.0]

    def hold(
        self, ankle: Array, rotation: Array, ends: list[Point], low: list[bool], plane: Point
    ) -> bool:
        """Move the ankle's target ``(3,)``, in place. Whether the foot stands."""
        before = self._before[0] if self._before else ends
        while len(self._before) < self._span:  # as if the stream had stood before
            self._before.append(ends)
        self._before.append(ends)
        stands = [low[k] and math.dist(ends[k], before[k]) < self._reach for k in (0, 1)]
        x, y, z = ankle.tolist()
        dx, dy, _ = shift = self._shift
        points = None
        for end in (0, 1):  # where both stand, the toe decides
            if not stands[end]:
                self.anchors[end] = None
                continue
            if points is None:
                points = (rotation @ self._points).T.tolist()
            px, py, pz = x + points[end][0], y + points[end][1], z + points[end][2]
            ax, ay, _ = self.anchors[end] or (px + dx, py + dy, 0.0)
            ax = min(max(ax, px - _DRAG), px + _DRAG)
            ay = min(max(ay, py - _DRAG), py + _DRAG)
            az = plane[0] * ax + plane[1] * ay + plane[2]
            self.anchors[end] = [ax, ay, az]
            shift = [ax - px, ay - py, az - pz]
        if points is None:
            shift = [self._rest * s for s in shift]
        self._shift = shift
        ankle += shift
        return points is not None
