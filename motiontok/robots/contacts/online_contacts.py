"""Standing heels and toes of a stream, and the ground under its feet.

The counterpart for whole motions is :mod:`bvh.foot_contacts`. Numbers are
plain floats: for so few, NumPy's calls cost more than the arithmetic.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from bvh.foot_contacts import BAND, SHIN, SIDES, SLOW, standing_heights
from bvh.rotations import Array
from bvh.skeleton import FEET, JOINTS
from motiontok.errors import RobotError
from motiontok.robots.contacts.ground import RAISED, Planes
from motiontok.robots.contacts.online_ground import GroundFinder, Point

__all__ = ["LateContacts", "SoleReader", "Soles"]

_ENDS = list(FEET)
_KNEES = [JOINTS.index(side + "Leg") for side in SIDES]


@dataclass(frozen=True)
class Soles:
    """Heels and toes of a person in one frame: left heel and toe, right heel and toe.

    Attributes:
        places: of the ankle above each heel and of the joint above each toe, metres.
        low: whether each is as near the ground as where it stands, under an upright shin.
        planes: ``z = a x + b y + c`` under the left and the right foot.
    """

    places: list[Point]
    low: list[bool]
    planes: tuple[Point, Point]

    @property
    def on_floor(self) -> bool:
        """Whether both feet are on the floor at z = 0."""
        return not (any(self.planes[0]) or any(self.planes[1]))


class SoleReader:
    """Finds heels and toes, and the planes under the feet.

    A foot's plane is the highest of those that are not above its sole. Planes that are not given
    are found (:class:`~motiontok.robots.contacts.online_ground.GroundFinder`); then a foot more
    than 10 cm below all of them that may be on its way down a step is on ground at its own height.

    Args:
        offsets: ``(22, 3)`` the subject's bones.
        fps: frames per second of the stream.
        ground: planes ``z = a x + b y + c``, metres of the person; found, if not given.

    Raises:
        RobotError: ``ground`` is not planes.
    """

    def __init__(self, offsets: Array, fps: float, ground: Planes | None) -> None:
        self._finder = GroundFinder(offsets, fps) if ground is None else None
        known = np.asarray([(0.0, 0.0, 0.0)] if ground is None else ground, dtype=np.float64)
        if known.ndim != 2 or known.shape[1] != 3 or not len(known) or not np.isfinite(known).all():
            raise RobotError(
                "ground: expected planes z = a x + b y + c as finite numbers (n, 3), got"
                f" {known.tolist()!r:.60}"
            )
        self._planes: list[Point] = known.tolist()
        self._heights: list[float] = standing_heights(offsets).tolist()

    def reset(self) -> None:
        """Forget the stream."""
        if self._finder is not None:
            self._finder.reset()
            self._planes = self._finder.planes

    def read(self, human: Array, rotations: Array) -> Soles:
        """Heels and toes of a pose.

        Args:
            human: ``(22, 3)`` positions of the joints, metres.
            rotations: ``(22, 3, 3)`` world_from_joint.
        """
        points: list[Point] = human.tolist()
        if self._finder is not None:
            self._finder.push(points, rotations)
            self._planes = self._finder.planes
        places = [points[end] for end in _ENDS]
        low, planes = [], []
        for side, joint in enumerate(_KNEES):
            knee = points[joint]
            ends, heights = places[2 * side :][:2], self._heights[2 * side :][:2]
            upward = (knee[2] - ends[0][2]) / max(math.dist(knee, ends[0]), 1e-9)
            plane, clear = self._under(ends, heights)
            planes.append(plane)
            low += [clear[end] < BAND and upward > SHIN[end] for end in (0, 1)]
        return Soles(places, low, (planes[0], planes[1]))

    def _under(self, ends: list[Point], heights: list[float]) -> tuple[Point, list[float]]:
        """The plane under a foot, and how much higher than standing its heel and toe are."""
        best: tuple[Point, list[float]] | None = None
        for plane in self._planes:
            a, b, c = plane
            steep = math.sqrt(1.0 + a * a + b * b)
            clear = [
                (z - a * x - b * y - c) / steep - h
                for (x, y, z), h in zip(ends, heights, strict=True)
            ]
            if best is None:
                best = plane, clear
                continue
            now, other = min(clear), min(best[1])
            # Of those below the sole the highest, else the lowest.
            if (now < other) == (now > -BAND and other > -BAND) or (now > -BAND >= other):
                best = plane, clear
        assert best is not None
        depth = -min(best[1])
        if depth > RAISED and self._finder is not None and self._finder.steps_down:
            # Who steps down is not held up until the foot stands.
            (a, b, c), clear = best
            return [a, b, c - depth], [height + depth for height in clear]
        return best


class LateContacts:
    """Which heels and toes of a stream stood three frames ago.

    Contacts are those of :func:`~bvh.foot_contacts.find_contacts`, by central
    differences and without interruptions of one or two frames.

    Args:
        fps: frames per second of the stream.
    """

    def __init__(self, fps: float) -> None:
        self._reach = 2.0 * SLOW / fps  # m in two frames
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._soles: deque[Soles] = deque(maxlen=3)
        self._low: deque[list[bool]] = deque(maxlen=5)
        self._slow: deque[list[bool]] = deque(maxlen=5)

    def push(self, soles: Soles) -> Array:
        """Standing points ``(4,)`` three frames before: left heel and toe, right heel and toe."""
        while len(self._soles) < 2:  # as if the stream had stood before
            self._soles.append(soles)
        self._soles.append(soles)
        first, middle, last = self._soles
        low = middle.low
        slow = [
            near and math.dist(one, two) < self._reach
            for near, one, two in zip(low, first.places, last.places, strict=True)
        ]
        while len(self._low) < 5:
            self._low.append(low)
            self._slow.append(slow)
        self._low.append(low)
        self._slow.append(slow)
        near, still = self._low, self._slow
        return np.array(
            [
                still[2][k]
                or (
                    near[2][k]
                    and (
                        (still[1][k] and (still[3][k] or (near[3][k] and still[4][k])))
                        or (still[0][k] and near[1][k] and still[3][k])
                    )
                )
                for k in range(4)
            ]
        )
