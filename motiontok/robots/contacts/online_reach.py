"""Targets of a stream's feet within reach of a robot's ankles.

The counterpart for whole trajectories is :mod:`~motiontok.robots.contacts.reach`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pinocchio as pin

from bvh.foot_contacts import SIDES
from bvh.rotations import Array
from motiontok.robots.contacts.reach import STANDS, Chain, lying
from motiontok.robots.kinematics.so3 import skew
from motiontok.robots.model.calibration import Calibration

__all__ = ["AnkleReach"]


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
    """One ankle, and the angles of its joints in the frame before."""

    def __init__(self, model: Any, calibration: Calibration, shin: int, foot: int) -> None:
        chain = Chain(model, calibration.bodies[shin], calibration.bodies[foot])
        self._shin, self._foot = shin, foot
        self._before = calibration.rotations[shin].T
        self._after = calibration.rotations[foot].T
        self._placed = chain.placed
        crosses = [skew(axis) for axis in chain.axes]
        # Transposed, as rows.
        self._hinges = [
            (axis, k.T.ravel(), -(k @ k).T.ravel())
            for axis, k in zip(chain.axes, crosses, strict=True)
        ]
        self._limits = list(zip(chain.lower.tolist(), chain.upper.tolist(), strict=True))
        self.reset()

    def reset(self) -> None:
        self._turns = [np.eye(3) for _ in self._hinges]

    def apply(self, rotations: Array) -> None:
        upward = rotations[self._shin, 2, 2]
        if upward >= STANDS:
            return
        share = float(lying(upward))
        upper = rotations[self._shin] @ self._before
        lower = rotations[self._foot] @ self._after
        near = upper @ self._nearest(upper.T @ lower)
        turn = pin.log3(near @ lower.T)
        rotations[self._foot] = pin.exp3(share * turn) @ rotations[self._foot]

    def _nearest(self, wanted: Array) -> Array:
        """The rotation within reach that is nearest to a wanted one, see :class:`Chain`.

        One sweep a frame, from the frame before.
        """
        turns, placed = self._turns, self._placed
        back, before, last = wanted.T, np.eye(3), len(turns) - 1
        for i, (axis, cross, square) in enumerate(self._hinges):
            before = before @ placed[i] if i else placed[i]
            rest = back @ before
            for k in range(last, i, -1):
                rest = placed[k] @ (turns[k] @ rest)
            # Of I + sin K + (1 - cos) K^2 the trace with the rest is largest there.
            flat = rest.ravel()
            best = math.atan2(flat @ cross, flat @ square)
            low, high = self._limits[i]
            if not low <= best <= high:
                best = low if math.cos(low - best) > math.cos(high - best) else high
            turns[i] = pin.exp3(best * axis)
            before = before @ turns[i]
        return before
