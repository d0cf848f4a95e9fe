"""The ground of a stream, found where feet stand: level floors, and the ramp walked on.

The counterpart for whole motions is :func:`~motiontok.robots.contacts.ground.find_ground`. Numbers
are plain floats, as in :mod:`~motiontok.robots.contacts.online_contacts`.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from bvh.foot_contacts import BAND, SIDES, SLOW, SPAN, standing_heights
from bvh.rotations import Array
from bvh.skeleton import FEET, JOINTS
from motiontok.robots.contacts.ground import BEARS, POINTED, RAISED, UPRIGHT
from motiontok.robots.contacts.online_ramp import RampFinder, Stand
from motiontok.robots.targets import leg_length

__all__ = ["GroundFinder", "Point"]

_KEPT = 2.0  # s after the last foot stood there for which other ground than the first is known
_STEP = 0.25  # m that a standing foot may be above the other
_TALL = 0.9  # upward part of an upright trunk, 26 degrees
_FLOOR = [0.0, 0.0, 0.0]
_HEAD = JOINTS.index("Head")
_OFF = 0.02  # m from z = 0 that a floor is at 0
_ANKLES, _TOES = list(FEET[::2]), list(FEET[1::2])
Point = list[float]
"""Coordinates x, y, z (m), or a plane's a, b, c."""


class GroundFinder:
    """Finds the ground under feet that bear the body.

    A foot that is flat, still, at most 25 cm above the other and well below the hips for a fifth of
    a second stands on ground at its height. The first that does so shows the floor. Until then it
    is taken to be at the lowest sole of an upright body, and for good at z = 0 once that is within
    2 cm. Ground more than 10 cm above or below what is known is a step, known until two seconds
    after a foot last stood on it. The same holds for a ramp, which feet show that stand one after
    the other (:class:`~motiontok.robots.contacts.online_ramp.RampFinder`).

    Args:
        offsets: ``(22, 3)`` the subject's bones.
        fps: frames per second of the stream.

    Attributes:
        planes: ``z = a x + b y + c`` that are known now, the floor first.
        steps_down: whether a foot below all of them may be on its way down a step: the trunk is
            upright, and the stream has shown other ground than z = 0.
    """

    def __init__(self, offsets: Array, fps: float) -> None:
        self._heights: list[float] = standing_heights(offsets).tolist()
        self._least = UPRIGHT * leg_length(offsets)
        self._frames = math.ceil(BEARS * fps)
        self._kept = round(_KEPT * fps)
        self._span = max(round(SPAN * fps), 1)
        self._reach = self._span * SLOW / fps  # m meanwhile
        self._fps = fps
        self._ramp = RampFinder()
        # Of the soles' middles in the feet's frames: between the ends below ankle and toe's joint.
        self._middles = 0.5 * offsets[_TOES]
        self._middles[:, 2] -= 0.5 * np.array(self._heights).reshape(2, 2).sum(axis=1)
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.planes: list[Point] = [_FLOOR]
        self._levels: list[Point] = [_FLOOR]
        self._ages = [0]
        self.steps_down = False
        self._first = True
        self._lowest = math.inf
        self._before: deque[list[Point]] = deque(maxlen=self._span)
        self._frame = 0
        self._ramp.reset()
        self._ramp_age = 0
        self._still = [0, 0]  # frames that each foot has been still
        self._on_ramp = [False, False]
        # Heights of each foot while it stands level.
        self._runs: list[list[float]] = [[] for _ in SIDES]

    def push(self, points: list[Point], axes: Array) -> None:
        """Look at the next pose; :attr:`planes` follow.

        Args:
            points: ``(22, 3)`` of its joints, metres.
            axes: ``(22, 9)`` of the joints in the world, one after the other.
        """
        self._frame += 1
        ends = [points[end] for end in FEET]
        before = self._before[0] if self._before else ends
        while len(self._before) < self._span:  # as if the stream had stood before
            self._before.append(ends)
        self._before.append(ends)
        clear = [end[2] - height for end, height in zip(ends, self._heights, strict=True)]
        soles = [min(clear[:2]), min(clear[2:])]
        self._ages = [age + 1 for age in self._ages]
        hips, head = points[0], points[_HEAD]
        tall = head[2] - hips[2] > _TALL * math.dist(head, hips)
        self.steps_down = tall and self.planes != [_FLOOR]
        lowest = min(soles)
        if self._first and hips[2] - lowest > self._least and lowest < self._lowest:
            self._set_floor(lowest)
            # At z = 0 it is where it is expected.
            self._lowest = lowest if self._levels[0][2] else -math.inf
        for side, run in enumerate(self._runs):
            both = slice(2 * side, 2 * side + 2)
            stands = (
                soles[side] < soles[1 - side] + _STEP
                and hips[2] - soles[side] > self._least
                and all(
                    math.dist(a, b) < self._reach
                    for a, b in zip(ends[both], before[both], strict=True)
                )
            )
            self._still[side] = self._still[side] + 1 if stands else 0
            if self._still[side] == self._frames:
                self._on_ramp[side] = self._stands_on_ramp(side, points, axes)
            if self._still[side] >= self._frames and self._on_ramp[side]:
                self._ramp_age = 0
                run.clear()
                continue
            if not stands or max(clear[both]) >= soles[side] + BAND:
                run.clear()
                continue
            run.append(soles[side])
            if len(run) >= self._frames:
                self._stand(sum(run) / len(run))
                del run[: -self._frames]
        keep = [k for k, age in enumerate(self._ages) if not k or age < self._kept]
        if len(keep) < len(self._ages):
            self._levels = [self._levels[k] for k in keep]
            self._ages = [self._ages[k] for k in keep]
        self._ramp_age += 1
        if self._ramp_age > self._kept:
            self._ramp.forget()
        ramp = self._ramp.plane
        self.planes = self._levels if ramp is None else [*self._levels, ramp]

    def _stands_on_ramp(self, side: int, points: list[Point], axes: Array) -> bool:
        """Whether a foot that has just come to stand is on a ramp."""
        ankle = _ANKLES[side]
        turn = axes[ankle].reshape(3, 3).T
        if turn[2, 2] < POINTED:
            return False
        place = points[ankle] + turn @ self._middles[side]
        known = self._ramp.plane is not None
        stand = Stand(side, self._frame / self._fps, place, -turn[:2, 2] / turn[2, 2])
        found = self._ramp.push(stand)
        if found and not known:
            # What feet on the way up or down were taken to stand on.
            del self._levels[1:], self._ages[1:]
        return found

    def _stand(self, height: float) -> None:
        """A foot stands at a height."""
        if self._first:
            self._first = False
            self._set_floor(height)
        away = [abs(height - plane[2]) for plane in self._levels]
        nearest = away.index(min(away))
        if away[nearest] > RAISED:
            self._levels = [*self._levels, [0.0, 0.0, height]]
            self._ages.append(0)
        else:
            self._ages[nearest] = 0

    def _set_floor(self, height: float) -> None:
        self._levels, self._ages = [[0.0, 0.0, height if abs(height) > _OFF else 0.0]], [0]
