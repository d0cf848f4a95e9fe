"""Standing heels and toes of a stream, and the ground under its feet.

The counterpart for whole motions is :mod:`bvh.foot_contacts`. Numbers are
plain floats: for so few, NumPy's calls cost more than the arithmetic.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from bvh.foot_contacts import BAND, GAP, SHIN, SIDES, SLOW, SPAN, standing_heights
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

    def read(self, human: Array, axes: Array) -> Soles:
        """Heels and toes of a pose.

        Args:
            human: ``(22, 3)`` positions of the joints, metres.
            axes: ``(22, 9)`` of the joints in the world, one after the other.
        """
        points: list[Point] = human.tolist()
        if self._finder is not None:
            self._finder.push(points, axes)
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
    """Which heels and toes of a stream stood a tenth of a second ago.

    Contacts are those of :func:`~bvh.foot_contacts.find_contacts`, by central
    differences and without short interruptions.

    Args:
        fps: frames per second of the stream.
        most: frames, at least 2, that may pass meanwhile.

    Attributes:
        delay: frames that pass.
    """

    def __init__(self, fps: float, most: int) -> None:
        span = min(max(round(SPAN * fps), 1), most - 1)
        self._gap = min(max(round(GAP * fps), 1), most - span)
        self._span = 2 * span
        self._reach = self._span * SLOW / fps  # m from a frame's past to its future
        self.delay = span + self._gap
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._soles: deque[Soles] = deque(maxlen=self._span + 1)
        # Of each point, around the frame that is told next.
        window = 2 * self._gap + 1
        self._low: list[deque[bool]] = [deque(maxlen=window) for _ in _ENDS]
        self._slow: list[deque[bool]] = [deque(maxlen=window) for _ in _ENDS]
        self._begun = False

    def push(self, soles: Soles) -> Array:
        """Standing points ``(4,)`` of that frame: left heel and toe, right heel and toe."""
        while len(self._soles) < self._span:  # as if the stream had stood before
            self._soles.append(soles)
        self._soles.append(soles)
        first, middle, last = self._soles[0], self._soles[self._span // 2], self._soles[-1]
        out = []
        for k, (low, slow) in enumerate(zip(self._low, self._slow, strict=True)):
            near = middle.low[k]
            still = near and math.dist(first.places[k], last.places[k]) < self._reach
            if not self._begun:
                low.extend([near] * self._gap * 2)
                slow.extend([still] * self._gap * 2)
            low.append(near)
            slow.append(still)
            out.append(slow[self._gap] or self._interrupted(low, slow))
        self._begun = True
        return np.array(out)

    def _interrupted(self, low: deque[bool], slow: deque[bool]) -> bool:
        """Whether a point that is too fast in the middle frame only wavers."""
        gap = 1
        if not low[self._gap]:
            return False
        for step in (-1, 1):
            at = self._gap + step
            while not slow[at]:
                gap += 1
                if gap > self._gap or not low[at]:
                    return False
                at += step
        return True
