"""Targets of a stream's feet within reach of a robot's ankles.

The counterpart for whole trajectories is :mod:`~motiontok.robots.contacts.reach`.
"""

from __future__ import annotations

import math
from typing import Any

from bvh.foot_contacts import SIDES
from bvh.rotations import Array
from motiontok.robots.contacts.reach import LIES, STANDS, Chain
from motiontok.robots.kinematics.one_quaternion import (
    Quaternion,
    inverse,
    matrix_of,
    of_matrix,
    power,
    times,
)
from motiontok.robots.model.calibration import Calibration

__all__ = ["AnkleReach"]

_NO_TURN = [0.0, 0.0, 0.0, 1.0]


class AnkleReach:
    """Turns feet below shins that lie no further than the robot's ankles go.

    Args:
        model: Pinocchio model.
        calibration: of the robot.
    """

    def __init__(self, model: Any, calibration: Calibration) -> None:
        self._ankles = [
            _Ankle(model, calibration, calibration.index(s + "Leg"), calibration.index(s + "Foot"))
            for s in SIDES
        ]

    def reset(self) -> None:
        """Forget the stream."""
        for ankle in self._ankles:
            ankle.reset()

    def apply(self, rotations: Array) -> None:
        """Turn the feet of targets ``(tracked, 3, 3)``, in place."""
        for ankle in self._ankles:
            ankle.apply(rotations)


class _Ankle:
    """One ankle, and the turns of its joints in the frame before."""

    def __init__(self, model: Any, calibration: Calibration, shin: int, foot: int) -> None:
        chain = Chain(model, calibration.bodies[shin], calibration.bodies[foot])
        self._shin, self._foot = shin, foot
        self._before = of_matrix(calibration.rotations[shin].T)
        self._after = of_matrix(calibration.rotations[foot].T)
        self._placed = [of_matrix(turn) for turn in chain.placed]
        self._axes = [axis.tolist() for axis in chain.axes]
        self._limits = list(zip(chain.lower.tolist(), chain.upper.tolist(), strict=True))
        self.reset()

    def reset(self) -> None:
        self._turns = [_NO_TURN for _ in self._axes]

    def apply(self, rotations: Array) -> None:
        upward = float(rotations[self._shin, 2, 2])
        if upward >= STANDS:
            return
        upper = times(of_matrix(rotations[self._shin]), self._before)
        lower = times(of_matrix(rotations[self._foot]), self._after)
        near = times(upper, self._nearest(times(inverse(upper), lower)))
        turn = power(times(near, inverse(lower)), _lying(upward))
        rotations[self._foot] = matrix_of(turn) @ rotations[self._foot]

    def _nearest(self, wanted: Quaternion) -> Quaternion:
        """The rotation within reach that is nearest to a wanted one, see :class:`Chain`.

        One sweep a frame, from the frame before.
        """
        turns, placed = self._turns, self._placed
        back, before, last = inverse(wanted), _NO_TURN, len(turns) - 1
        for i, (axis, (low, high)) in enumerate(zip(self._axes, self._limits, strict=True)):
            before = times(before, placed[i])
            x, y, z, w = times(back, before)
            for k in range(last, i, -1):
                x, y, z, w = times(placed[k], times(turns[k], [x, y, z, w]))
            # A turn by an angle on top makes the scalar part cos(angle / 2) w - sin(angle / 2)
            # (axis . x); the largest is nearest.
            ax, ay, az = axis
            best = math.remainder(2.0 * math.atan2(-(ax * x + ay * y + az * z), w), math.tau)
            if not low <= best <= high:
                best = low if math.cos(low - best) > math.cos(high - best) else high
            sine = math.sin(0.5 * best)
            turns[i] = [sine * ax, sine * ay, sine * az, math.cos(0.5 * best)]
            before = times(before, turns[i])
        return before


def _lying(upward: float) -> float:
    """As :func:`~motiontok.robots.contacts.reach.lying`, of one shin."""
    share = min((STANDS - upward) / (STANDS - LIES), 1.0)
    return share * share * (3.0 - 2.0 * share)
